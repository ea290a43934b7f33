"""Metrics of translations (BLEU, chrF, TER) and evaluations of a whole text."""
