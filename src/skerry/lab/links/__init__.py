"""Links of a lab: veth pairs, what they do to frames, Open vSwitch, and the uplink to this machine's network."""
