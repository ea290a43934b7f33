"""Translation metrics (BLEU, chrF, TER) and evaluation of a test set."""
