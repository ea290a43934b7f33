"""What `scripts/bench` measures. Read `training` first, then `train_ours` and the peers beside it.

The process that the user starts only prepares and reports. Each measurement is a process of its own (`child`), so that
its peak memory is its own.
"""
