"""Backups of the control plane, and clouds from them."""
