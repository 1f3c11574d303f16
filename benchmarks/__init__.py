"""Benchmarks that anyone can run: `python -m benchmarks.chain`, `.numerics`, `.work`."""
