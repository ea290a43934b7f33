"""Human-readable output: attention maps in the terminal, as pictures and as a page; reports; learning curves."""
