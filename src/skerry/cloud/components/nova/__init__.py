"""nova: its services, the pages of noVNC, and the SSH server for disks that move between hosts."""
