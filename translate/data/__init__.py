"""The data pipeline from text files to batches: lines, pieces, filters, encoded corpora and batch order."""
