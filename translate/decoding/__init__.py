"""Decoding: beam search, sampling, constraints, quality warnings and resumable output."""
