"""Benchmarks: each prints its figures and those of a peer as JSON."""
