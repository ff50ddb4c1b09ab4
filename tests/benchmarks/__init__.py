"""Timings of this library and of its peers, run by `python -m tests.benchmarks`."""
