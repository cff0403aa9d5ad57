"""The kinds of steps that components consist of: files, packages, databases, services, one-time work."""
