"""The run folder, including its files, weights and model."""
