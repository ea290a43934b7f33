"""Attention maps: extracted by one forced pass, saved, merged to words, verified, compared, summarized by head."""
