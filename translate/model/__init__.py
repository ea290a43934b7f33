"""Models: what one is to the rest of the program (`seq2seq`), the Transformer, and hooks on attention."""
