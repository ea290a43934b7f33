"""Attention maps: teacher-forced extraction, storage, merging of pieces into words, verification and comparison."""
