"""Low-level utilities: files, locks, devices, processes, memory, signals and terminal text."""
