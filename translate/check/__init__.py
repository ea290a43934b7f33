"""Checks of a parallel corpus, with line numbers."""
