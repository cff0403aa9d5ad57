"""What the operating system does for a cloud, behind one base."""
