"""What the rest stands on: files, devices, processes, memory, signals, the terminal."""
