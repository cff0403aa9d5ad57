"""VMs that run out of a base and an overlay: synthesis, and what has changed in them as a new overlay."""
