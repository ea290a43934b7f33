"""Typed and validated settings, read from TOML files and the command line."""
