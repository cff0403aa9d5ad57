"""The host's own network: the wire to the guests, forwarding, address translation, other firewalls."""

from __future__ import annotations

from collections.abc import Iterable

from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient
from skerry.cloud.engine.step import Unknown
from skerry.cloud.steps.access.loopback import LoopbackRules
from skerry.common.errors import CommandError


class HostNetwork(Check):
    """The host reaches the external network, and guests get out through it."""

    name = "host-network"
    message = "Floating addresses do not answer, or guests do not get out."
    remedy = "'skerry up' makes it again."
    needs = ("ovs-vswitchd",)
    seconds = 40.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        if not patient.ctx.does("network"):
            return
        side = ExternalNetwork(patient.ctx)
        try:
            changes = side.check()
        except Unknown as reason:
            raise CannotLook(str(reason)) from None

        def repair() -> str:
            side.apply(lambda text: None)
            return f"made the host's way to {patient.ctx.cloud.external.cidr} again"

        if changes:
            said = tuple(f"missing: {change}" for change in changes)
            yield Finding("error", "the host's way to the external network is broken", said, fix=repair)


class PortsLimited(Check):
    """The cloud's ports take connections from the users that need them, and none from guests' user."""

    name = "loopback"
    message = (
        "Other users of this machine, and what breaks out of a guest, reach ports that are not for them."
    )
    remedy = "'skerry up' makes the rules again."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        rules = LoopbackRules(patient.ctx)

        def repair() -> str:
            rules.apply(lambda text: None)
            return f"limited {len(rules.ports())} ports to their users again"

        changes = rules.check()
        if changes:
            said = tuple(f"missing: {change}" for change in changes)
            yield Finding(
                "error", f"the firewall's table {rules.table} is not as it should be", said, fix=repair
            )


class ForwardingAllowed(Check):
    """No other firewall on the machine drops what guests send out."""

    name = "forwarding-allowed"
    message = "Another firewall (Docker's, for one) drops what is forwarded, and with it the guests' traffic."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        if not patient.ctx.cloud.external.translates or not patient.ctx.does("network"):
            return
        cidr, network = str(patient.ctx.cloud.external.cidr), patient.ctx.platform.network
        try:
            places = network.drops_forwarded(cidr)
        except CommandError as error:
            raise CannotLook(str(error)) from None
        for place in places:
            yield Finding(
                "warning",
                f"{place} drops what is forwarded: guests may not get out",
                remedy=f"Let the guests through in that firewall, e.g.: {network.allow_command(cidr)}",
            )
