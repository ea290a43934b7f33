"""From text files to batches: lines, pieces, filters, encoded corpora, batch order."""
