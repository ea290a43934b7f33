"""Readers for corpus files. `sides` chooses the format by file name. Each format except plain text has its own module.

A format is a function `rows(stream, wanted)`. To add one, write a module and add its suffix to `sides.FORMATS`.
"""
