"""`scripts/why_attention`: models without attention, with it, and made of it, on the same texts."""
