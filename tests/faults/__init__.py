"""Fault injection for the tests: damaged files, failing disks, and kills at a chosen call."""
