"""Export of a trained run to other programs' formats."""
