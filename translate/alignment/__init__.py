"""Word alignments from attention maps: methods, error rates and the settings stored in a run."""
