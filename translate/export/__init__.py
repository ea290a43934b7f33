"""Exports of a trained run to the formats of other programs."""
