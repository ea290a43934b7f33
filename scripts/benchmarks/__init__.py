"""The benchmarks of `scripts/bench`. Read `training` first, then `ours` and the peers.

The process that the user starts only prepares and reports. Each measurement runs in a process of its own (`child`), so
that its peak memory is measured separately.
"""
