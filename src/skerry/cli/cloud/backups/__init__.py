"""Verbs that make backups of a cloud and restore them."""
