"""What every system of Skerry shares: errors, processes, files."""
