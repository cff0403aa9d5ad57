"""'skerry lab': labs of hosts and switches on this machine."""
