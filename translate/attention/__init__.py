"""Attention maps: extraction by a forced pass, storage, merging into words, verification, comparison, statistics."""
