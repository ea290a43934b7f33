"""The Transformer, its layers, its decoder state, and hooks on its attention."""
