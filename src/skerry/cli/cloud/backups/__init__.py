"""Verbs about backups."""
