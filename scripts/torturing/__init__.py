"""Harm to files and processes, for the tests and for the long trials."""
