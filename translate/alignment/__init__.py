"""Word alignments derived from attention maps: methods, error rates and the configuration stored in a run."""
