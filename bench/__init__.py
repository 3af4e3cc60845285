"""Benchmarks: programs that measure, run from the repository root. Nothing here is installed."""
