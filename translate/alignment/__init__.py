"""Word alignments from attention maps: methods, error rates, the setting stored in a run."""
