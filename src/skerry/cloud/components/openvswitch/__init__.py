"""Open vSwitch: the switch of a host, its uplinks, the external network, and guests' ports."""
