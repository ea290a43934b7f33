"""From settings to trained weights: preparation, steps, checkpoints, validation, log."""
