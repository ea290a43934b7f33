"""A trained run as a model of other programs."""
