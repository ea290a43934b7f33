"""Translation metrics (BLEU, chrF, TER) and the evaluation of a test set."""
