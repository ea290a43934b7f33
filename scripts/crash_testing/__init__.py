"""Crash tests: real training and decoding processes are killed or lose their disk, and must give the same results."""
