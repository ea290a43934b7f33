"""The grammar that writes `data/toy`: English-French pairs with their true word alignments."""
