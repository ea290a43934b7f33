"""Readers of corpus files: `sides` selects the format by the file name. All formats except plain text have a module.

A format is a function `sentence(line, column)`. To add one, write its module and add its suffix to `sides.FORMATS`.
"""
