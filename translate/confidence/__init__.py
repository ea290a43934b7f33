"""How far to trust a translation: an estimate fitted on validation text, and what the training text never had."""
