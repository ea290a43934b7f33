"""The attention page: one HTML file that can be opened from disk."""
