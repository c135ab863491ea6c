"""Benchmarks: `python -m tests.benchmarks` prints one table and writes benchmarks.json."""
