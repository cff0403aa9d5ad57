"""Verbs for those who develop Skerry: tests, benchmarks, the generated reference."""
