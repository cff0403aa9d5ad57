"""Guests' interfaces belong to the switch alone, also where the switch works in userspace.

Such a switch reads an interface beside the host's own network and not in its place. Left to itself the host would
take part: it answers a guest's duplicate address detection (libvirt gives the tap its guest's MAC, so that both
have the same link-local address), and it takes what a guest sends to its own MAC, past every security group.
And such a switch writes back an interface's flags as it read them, maybe before libvirt set the interface up.
"""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.model.users import SWITCH
from skerry.cloud.supervise.probes import CommandProbe
from skerry.cloud.supervise.service import File, Service

TABLE = "skerry_guests"


def service(ctx: Context) -> Service:
    """What sets each interface up as soon as it appears, plugged into a running guest or not."""
    script = File(
        ctx.layout.etc / "ovs/guestports.sh",
        Path(__file__).with_name("guest_ports.sh").read_text(),
        executable=True,
    )
    return Service(
        "ovs-guestports",
        (str(script.path),),
        CommandProbe((str(script.path), "--check"), "kept"),
        title="guests' ports kept from the host",
        user=SWITCH,
        capabilities=("NET_ADMIN",),
        files=(script,),
        after=("packages",),
        cost=0.3,
    )


def remove_rules(ctx: Context) -> None:
    """Take the firewall's rules away, once no guest runs any more."""
    ctx.platform.network.remove_filter(TABLE)
