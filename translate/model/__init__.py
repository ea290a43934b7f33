"""Models: the model interface (`seq2seq`), the Transformer, and hooks on attention."""
