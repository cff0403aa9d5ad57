"""Open vSwitch as a private instance."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.components.openvswitch import guest_ports
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.model.ports import Port
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import CommandProbe, UnixProbe
from skerry.cloud.supervise.service import SERVICE_USER, Service

QUIET = ("-vconsole:warn", "-vsyslog:off", "-vfile:off")


class OpenVSwitch(Component):
    name = "openvswitch"
    title = "Open vSwitch"
    roles = ("control", "network", "compute")
    ports = (Port("ovsdb", 16640),)
    packages = (
        "openvswitch-switch",
        "openvswitch-common",
        "ethtool",
        "nftables",
        "iproute2",
        "iptables",
        "conntrack",
        "iputils-arping",
        "iputils-ping",
    )

    def folders(self) -> dict[Path, str]:
        layout = self.ctx.layout
        return {
            layout.state / "ovs": SERVICE_USER,
            layout.run / "ovs": SERVICE_USER,
            layout.etc / "ovs": "root",
        }

    def environment(self) -> dict[str, str]:
        layout = self.ctx.layout
        return {
            "OVS_RUNDIR": str(layout.run / "ovs"),
            "OVS_DBDIR": str(layout.state / "ovs"),
            "OVS_LOGDIR": str(layout.log),
            "OVS_SYSCONFDIR": str(layout.etc / "ovs"),
        }

    def work(self) -> list[Step]:
        database = self.ctx.layout.state / "ovs/conf.db"

        def create(report: object) -> None:
            _create_database(self.ctx, database, self.ctx.platform.share / "openvswitch/vswitch.ovsschema")

        needs = ("packages", "machine")
        return [Once(self.ctx, "create:ovs", "create the switch's database", create, needs=needs, cost=0.2)]

    def services(self) -> list[Service]:
        run = self.ctx.layout.run / "ovs"
        server = Service(
            "ovsdb",
            (
                self.ctx.platform.program("ovsdb-server"),
                str(self.ctx.layout.state / "ovs/conf.db"),
                f"--remote=punix:{run}/db.sock",
                f"--remote=ptcp:{self.ctx.port('ovsdb')}:127.0.0.1",
                f"--unixctl={run}/ovsdb-server.ctl",
                f"--pidfile={run}/ovsdb-server.pid",
                *QUIET,
            ),
            UnixProbe(run / "db.sock"),
            title="the switch's database (Open vSwitch)",
            env=self.environment(),
            after=("create:ovs",),
            cost=0.2,
        )
        switch = Service(
            "ovs-vswitchd",
            (
                self.ctx.platform.program("ovs-vswitchd"),
                f"unix:{run}/db.sock",
                f"--unixctl={run}/ovs-vswitchd.ctl",
                f"--pidfile={run}/ovs-vswitchd.pid",
                *QUIET,
            ),
            CommandProbe(("ovs-appctl", "-t", f"{run}/ovs-vswitchd.ctl", "version"), "vSwitch"),
            title="the switch (Open vSwitch)",
            capabilities=("NET_ADMIN", "NET_RAW", "DAC_OVERRIDE", "IPC_LOCK", "SYS_NICE"),
            env=self.environment(),
            after=("start:ovsdb",),
            cost=0.3,
        )
        in_userspace = self.ctx.platform.network.datapath == "netdev"
        return [server, switch, *([guest_ports.service(self.ctx)] if in_userspace else [])]


def _create_database(ctx: Context, path: Path, schema: Path) -> None:
    if path.exists():
        return
    temporary = path.with_suffix(".new")
    ctx.platform.remove(temporary)
    ctx.platform.remove(path.parent / f".{temporary.name}.~lock~")
    ctx.platform.run(["ovsdb-tool", "create", str(temporary), str(schema)])
    ctx.platform.run(["chown", f"{SERVICE_USER}:{SERVICE_USER}", str(temporary)])
    ctx.platform.run(["mv", str(temporary), str(path)])
