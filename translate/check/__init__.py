"""Check a parallel corpus and report problems with line numbers."""
