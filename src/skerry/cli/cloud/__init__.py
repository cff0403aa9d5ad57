"""Verbs for a cloud: one file each."""
