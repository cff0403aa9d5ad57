"""'skerry migration': live migration, measured."""
