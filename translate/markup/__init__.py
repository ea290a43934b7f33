"""Markup in lines: taken out before translation, and put back around the words that attention aligns."""
