"""Readers of corpus files: one module per format, and `sides`, which selects the format by the file name.

A format is a function `sentence(line, column)`. To add one, write its module and add its suffix to `sides.FORMATS`.
"""
