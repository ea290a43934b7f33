"""The run folder with its files, weights and model."""
