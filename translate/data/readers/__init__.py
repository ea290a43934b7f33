"""Readers of corpus files: a module for each format, and `sides`, which picks one by the name of the file.

A format is a function `sentence(line, column)`. To add one, write its module and enter its suffix in `sides.FORMATS`.
"""
