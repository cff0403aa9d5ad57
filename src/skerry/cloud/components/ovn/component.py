"""OVN as a private instance: databases, translator, controller, and the host as a chassis."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.components.openvswitch.component import QUIET, OpenVSwitch, _create_database
from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.components.openvswitch.uplinks import Uplinks
from skerry.cloud.components.ovn import fip_announcer
from skerry.cloud.components.upkeep import ovsdb
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import OVN_CLIENTS, SWITCH
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import CommandProbe, UnixProbe
from skerry.cloud.supervise.service import OOM_PROTECTED, Folder, Service


class OVN(Component):
    name = "ovn"
    title = "OVN"
    user = SWITCH
    roles = ("control", "network", "compute")
    ports = (Port("ovn-southbound", socket="ovn/ovn.sock", shared=True),)
    packages = ("ovn-central", "ovn-host", "ovn-common")

    def folders(self) -> list[Folder]:
        layout = self.ctx.layout
        return [
            Folder(layout.state / "ovn", self.user, mode=0o700),
            Folder(layout.run / "ovn", self.user, OVN_CLIENTS, 0o2750),
            Folder(self._control.parent, self.user, mode=0o700),
        ]

    @property
    def _control(self) -> Path:
        """Where the databases' server takes commands, out of reach of its clients."""
        return self.ctx.layout.run / "ovn/own/ovn-ovsdb.ctl"

    def environment(self) -> dict[str, str]:
        layout = self.ctx.layout
        return {
            **OpenVSwitch(self.ctx).environment(),
            "OVN_RUNDIR": str(layout.run / "ovn"),
            "OVN_DBDIR": str(layout.state / "ovn"),
            "OVN_LOGDIR": str(layout.log),
        }

    def work(self) -> list[Step]:
        state = self.ctx.layout.state / "ovn"

        def create(report: object) -> None:
            for name in ("nb", "sb"):
                _create_database(
                    self.ctx, state / f"ovn{name}.db", self.ctx.platform.share / f"ovn/ovn-{name}.ovsschema"
                )

        needs = ("packages", "restored-state")
        steps: list[Step] = [Chassis(self.ctx), Uplinks(self.ctx)]
        if self.ctx.has_control_plane:
            steps.append(
                Once(self.ctx, "create:ovn", "create OVN's databases", create, needs=needs, cost=0.2)
            )
        if self.ctx.does("network"):
            steps.append(ExternalNetwork(self.ctx))
        return steps

    def upkeep(self) -> list[UpkeepTask]:
        if not self.ctx.has_control_plane:
            return []
        files = [self.ctx.layout.northbound, self.ctx.layout.state / "ovn/ovnsb.db"]
        title = "compact OVN's databases"
        return [ovsdb.task("ovn-databases", title, "ovn-ovsdb", self.ctx.platform, self._control, files)]

    def services(self) -> list[Service]:
        layout = self.ctx.layout
        run, state = layout.run / "ovn", layout.state / "ovn"
        database = Service(
            "ovn-ovsdb",
            (
                self.ctx.platform.program("ovsdb-server"),
                str(layout.northbound),
                str(state / "ovnsb.db"),
                f"--remote=punix:{layout.ovn_socket}",
                f"--unixctl={self._control}",
                f"--pidfile={run}/ovn-ovsdb.pid",
                *QUIET,
            ),
            UnixProbe(layout.ovn_socket),
            title="OVN's databases",
            user=self.user,
            umask=0o007,  # the group may connect
            env=self.environment(),
            after=("create:ovn", "restored-state"),
            oom_score=OOM_PROTECTED,
            cost=0.2,
        )
        northd = Service(
            "ovn-northd",
            (
                self.ctx.platform.program("ovn-northd"),
                f"--ovnnb-db=unix:{layout.ovn_socket}",
                f"--ovnsb-db=unix:{layout.ovn_socket}",
                f"--unixctl={run}/ovn-northd.ctl",
                f"--pidfile={run}/ovn-northd.pid",
                *QUIET,
            ),
            CommandProbe(("ovn-appctl", "-t", f"{run}/ovn-northd.ctl", "status"), "active"),
            title="OVN's translator (northd)",
            user=self.user,
            env=self.environment(),
            after=("start:ovn-ovsdb",),
            cost=0.2,
        )
        controller = Service(
            "ovn-controller",
            (
                self.ctx.platform.program("ovn-controller"),
                layout.switch,
                f"--pidfile={run}/ovn-controller.pid",
                *QUIET,
            ),
            CommandProbe(
                ("env", f"OVN_RUNDIR={run}", "ovn-appctl", "-t", "ovn-controller", "connection-status"),
                "connected",
            ),
            title="OVN's agent (ovn-controller)",
            user=self.user,
            capabilities=("NET_ADMIN", "NET_RAW"),
            env=self.environment(),
            after=("start:ovs-vswitchd", "start:ovn-northd", "chassis"),
            oom_score=OOM_PROTECTED,
            cost=0.3,
        )
        moving = self.ctx.does("compute") and self.ctx.cloud.moves
        return [
            *([database, northd] if self.ctx.has_control_plane else []),
            controller,
            *(
                [fip_announcer.service(self.ctx, self.environment(), chassis_name(self.ctx))]
                if moving
                else []
            ),
        ]


def chassis_name(ctx: Context) -> str:
    """How OVN's databases call this host."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{ctx.host.name}.{ctx.cloud.name}"))


class Chassis(Step):
    """The host is an OVN chassis: its switch knows the tunnel address, the databases, and the bridge outside."""

    name = "chassis"
    title = "the host as OVN chassis"
    needs = ("start:ovs-vswitchd",)
    live = True
    cost = 0.3

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def _wanted(self) -> dict[str, str]:
        wanted = {
            "hostname": self.ctx.host.name,
            "system-id": chassis_name(self.ctx),
            "ovn-bridge-datapath-type": self.ctx.platform.network.datapath,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.ctx.host.tunnel_address,
            "ovn-remote": self.ctx.southbound,  # on every host, see haproxy/gateway.py
            "ovn-remote-probe-interval": "60000",
            "ovn-openflow-probe-interval": "60",
            "ovn-monitor-all": "true",
        }
        bridges = {provider.interface: provider.bridge for provider in self.ctx.cloud.provider}
        if self.ctx.does("network") or self.ctx.host.external_interface:
            bridges["public"] = ExternalNetwork.BRIDGE
        if bridges:
            mappings = (f"{network}:{bridge}" for network, bridge in sorted(bridges.items()))
            wanted["ovn-bridge-mappings"] = ",".join(mappings)
        if self.ctx.does("network"):
            wanted["ovn-cms-options"] = "enable-chassis-as-gw"
        return wanted

    def check(self) -> list[Change]:
        shown = self.ctx.platform.run(
            [*self.ctx.layout.vsctl, "--format=json", "list", "Open_vSwitch", "."], check=False, timeout=30
        )
        if shown.returncode:
            raise Unknown("the switch's database does not answer")
        table = json.loads(shown.stdout)
        row = dict(zip(table["headings"], table["data"][0], strict=True)) if table["data"] else {}
        have = dict(row.get("external_ids", ["map", []])[1])
        return [
            Change(f"Open vSwitch external_ids:{key}", have.get(key, "(unset)"), value)
            for key, value in self._wanted().items()
            if have.get(key) != value
        ]

    def apply(self, report: Callable[[str], None]) -> None:
        pairs = [f"external_ids:{key}={value}" for key, value in self._wanted().items()]
        self.ctx.platform.run([*self.ctx.layout.vsctl, "set", "Open_vSwitch", ".", *pairs])
