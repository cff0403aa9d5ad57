"""What tests and benchmarks share: clouds under test, simulated machines, a browser, random machines."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
