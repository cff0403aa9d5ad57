"""OVN: its databases, a host as a chassis, and the announcer of floating IPs after a migration."""
