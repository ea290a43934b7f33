"""The run folder: its files, its weights, its model."""
