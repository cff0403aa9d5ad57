"""The lab: several hosts, switches and machines on one machine, as namespaces."""
