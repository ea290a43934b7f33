"""The attention page: one HTML file that a browser opens from disk."""
