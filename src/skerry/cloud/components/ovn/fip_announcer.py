"""Servers that arrive by live migration keep their floating addresses.

While a server moves, its port is bound to both hosts (``additional_chassis``). When that ends, ovn-controller 23.03 now
and then does not see that the port is resident on its host now: flows of the floating address (``is_chassis_resident``)
are missing until something makes it compute all of them again, and nobody answers for the address until then. So that is
asked for, whenever the second binding of a port comes or goes; that happens with live migrations and at no other time.

ovn-controller also waits for a second before it announces the address on the external network. Here that is done at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.model.external_link import BRIDGE
from skerry.cloud.model.users import SWITCH
from skerry.cloud.supervise.probes import ConnectedSocketProbe
from skerry.cloud.supervise.service import File, Service


def service(ctx: Context, env: Mapping[str, str], chassis: str) -> Service:
    """What follows the bindings of ports; ``env`` names OVN's sockets, ``chassis`` is this host's name there."""
    script = File(
        ctx.layout.etc / "ovn/arrivals.sh",
        Path(__file__).with_name("fip_announcer.sh").read_text(),
        executable=True,
    )
    return Service(
        "ovn-arrivals",
        (
            str(script.path),
            ctx.southbound,
            ctx.layout.switch,
            chassis,
            BRIDGE,
        ),
        ConnectedSocketProbe(Path(ctx.southbound.removeprefix("unix:"))),
        title="floating addresses of servers that arrive",
        user=SWITCH,
        env=env,
        files=(script,),
        after=("start:ovn-controller",),
        cost=0.2,
    )
