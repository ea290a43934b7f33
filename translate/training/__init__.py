"""Training: preparation, steps, checkpoints, validation, log."""
