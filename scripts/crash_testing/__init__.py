"""Crash tests: real trainings and decodings are killed, or lose their disk, and have to end as if nothing happened."""
