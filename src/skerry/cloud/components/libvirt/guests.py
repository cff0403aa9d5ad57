"""Guests and what serves them, as the host sees them: for stopping a cloud in order."""

from __future__ import annotations

import time

from skerry.cloud.components.libvirt.component import Libvirt
from skerry.cloud.context import Context
from skerry.common.errors import CommandError


class Guests:
    """The guests of this host's private libvirt."""

    def __init__(self, ctx: Context) -> None:
        self.libvirt = Libvirt(ctx)

    def running(self) -> list[str]:
        """Names of the guests that run; none when libvirt does not answer."""
        try:
            return self.libvirt.virsh("list", "--name").split()
        except CommandError:
            return []

    def stop_all(self, seconds: float) -> int:
        """Press every guest's power button, wait at most ``seconds``, end the rest; returns how many there were."""
        names = self.running()
        for name in names:
            self._try("shutdown", name)
        deadline = time.monotonic() + seconds
        while (left := self.running()) and time.monotonic() < deadline:
            time.sleep(0.3)
        for name in left:
            self._try("destroy", name)
        return len(names)

    def _try(self, verb: str, name: str) -> None:
        try:
            self.libvirt.virsh(verb, name)
        except CommandError:
            pass  # it has ended by itself in the meantime


def remove_taps(ctx: Context) -> None:
    """Remove the guests' network interfaces, which outlive them; nova makes new ones."""
    for port in ctx.platform.run([*ctx.layout.vsctl, "list-ports", "br-int"], check=False).stdout.split():
        if port.startswith("tap") and ctx.platform.network.is_tap(port):
            ctx.platform.network.delete_interface(port)


def remove_metadata_namespaces(ctx: Context) -> None:
    """Remove the network namespaces that the metadata agent made, which outlive it."""
    proxies = ctx.layout.state / "neutron/agent/ovn-metadata-proxy"
    for namespace in ctx.platform.network.namespaces():
        prefix, dash, network = namespace.partition("-")
        if prefix == "ovnmeta" and dash and (proxies / f"{network}.conf").exists():
            ctx.platform.network.delete_namespace(namespace)
