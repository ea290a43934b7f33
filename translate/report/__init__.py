"""Human-readable output: attention maps (terminal, pictures and page), reports and learning curves."""
