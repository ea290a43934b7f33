"""The HTTP server: the live attention page and a translation interface compatible with LibreTranslate."""
