"""Labs for the tests in this folder."""

from skerry.lab.testing import make_lab

__all__ = ["make_lab"]
