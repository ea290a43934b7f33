"""Check a parallel corpus and report faults with line numbers."""
