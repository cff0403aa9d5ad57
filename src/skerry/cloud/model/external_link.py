"""Names of a host's end of the external network."""

from __future__ import annotations

BRIDGE = "br-ex"  # in the switch
INSIDE = "skerry-ext"  # the end of the wire that has the host's address
PORT = "skerry-ext-ovs"  # the end in the switch
GUEST_HARDWARE = "fa:16:3e"  # first bytes of all hardware addresses that Neutron hands out (its base_mac)
