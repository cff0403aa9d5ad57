"""The host's own network: the wire to the guests, forwarding, address translation, other firewalls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient
from skerry.cloud.engine.step import Unknown


class HostNetwork(Check):
    """The host reaches the external network, and guests get out through it."""

    name = "host-network"
    message = "Floating addresses do not answer, or guests do not get out."
    remedy = "'skerry up' makes it anew."
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

        def mend() -> str:
            side.apply(lambda text: None)
            return f"made the host's way to {patient.ctx.cloud.external.cidr} anew"

        if changes:
            said = tuple(f"missing: {change}" for change in changes)
            yield Finding("error", "the host's way to the external network is broken", said, fix=mend)


class ForwardingAllowed(Check):
    """No other firewall on the machine drops what guests send out."""

    name = "forwarding-allowed"
    message = "Another firewall (Docker's, for one) drops what is forwarded, and with it the guests' traffic."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        if not patient.ctx.cloud.external.nat or not patient.ctx.does("network"):
            return
        cidr, run = str(patient.ctx.cloud.external.cidr), patient.ctx.platform.run
        remedy = (
            f"Let the guests through in that firewall, e.g.: iptables -I FORWARD -s {cidr} -j ACCEPT && "
            f"iptables -I FORWARD -d {cidr} -j ACCEPT"
        )
        shown = run(["nft", "-j", "list", "ruleset"], check=False, timeout=15)
        if shown.returncode:
            raise CannotLook(shown.stderr.strip() or "nft does not answer")
        for place in dropping(json.loads(shown.stdout), cidr):
            yield Finding(
                "warning", f"{place} drops what is forwarded: guests may not get out", remedy=remedy
            )
        if shutil.which("iptables-legacy"):
            rules = run(["iptables-legacy", "-S", "FORWARD"], check=False, timeout=15).stdout
            if "-P FORWARD DROP" in rules and f"-s {cidr}" not in rules:
                yield Finding(
                    "warning", "iptables-legacy's chain FORWARD drops what is forwarded", remedy=remedy
                )


def dropping(ruleset: Mapping[str, Any], cidr: str) -> list[str]:
    """The chains of an nft ruleset (JSON) that drop forwarded packets by policy and do not name ``cidr``."""
    items = ruleset.get("nftables", [])
    address = cidr.split("/")[0]
    found = []
    for chain in (item["chain"] for item in items if "chain" in item):
        if chain.get("hook") != "forward" or chain.get("policy") != "drop":
            continue
        rules = [
            item["rule"] for item in items if "rule" in item and item["rule"].get("table") == chain["table"]
        ]
        if not any(
            address in json.dumps(rule.get("expr")) and "accept" in json.dumps(rule["expr"]) for rule in rules
        ):
            found.append(f"chain {chain['name']} of table {chain['family']} {chain['table']}")
    return found
