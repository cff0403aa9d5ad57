"""The daily upkeep: ``component`` is the service that starts it, the others are tasks that components declare."""
