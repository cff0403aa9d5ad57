"""Who may what on this host: system users and groups, and the firewall rules by user."""
