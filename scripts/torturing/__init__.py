"""Harm to files, processes and disks, on purpose: for the tests and for the long trials of `scripts/torture`."""
