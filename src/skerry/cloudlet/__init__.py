"""Cloudlets: a prepared VM as a small overlay on a base, and a running VM out of both within seconds."""
