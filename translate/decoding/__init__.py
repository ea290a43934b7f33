"""From lines to translations: search, sampling, constraints, warnings, output that survives interruption."""
