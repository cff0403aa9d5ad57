"""The kinds of steps that roles are made of: files, packages, databases, services, one-time work."""
