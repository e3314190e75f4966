"""The network benchmark: `python -m benchmarks.network`."""
