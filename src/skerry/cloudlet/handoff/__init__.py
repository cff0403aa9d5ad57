"""Moving a running VM to another engine: source, destination, what both hold, recovery; the daemon."""
