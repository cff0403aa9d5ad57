"""Skerry: a whole, real OpenStack cloud with one command."""

RELEASE = "2026.2"
