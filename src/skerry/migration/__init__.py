"""Live migration, measured: what a user of the server sees of it, and what the hypervisor says."""
