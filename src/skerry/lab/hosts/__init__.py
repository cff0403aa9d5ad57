"""Hosts of a lab: their namespaces, first process, disks and processes."""
