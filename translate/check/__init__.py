"""What is wrong with a parallel corpus, with line numbers."""
