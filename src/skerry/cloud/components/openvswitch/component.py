"""Open vSwitch as a private instance."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.components.openvswitch import guest_ports
from skerry.cloud.components.upkeep import ovsdb
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.users import SWITCH
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import CommandProbe, UnixProbe
from skerry.cloud.supervise.service import OOM_PROTECTED, Folder, Service

QUIET = ("-vconsole:warn", "-vsyslog:off", "-vfile:off")


class OpenVSwitch(Component):
    name = "openvswitch"
    title = "Open vSwitch"
    user = SWITCH
    roles = ("control", "network", "compute")
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

    def folders(self) -> list[Folder]:
        layout = self.ctx.layout
        return [
            Folder(layout.state / "ovs", self.user, mode=0o700),
            Folder(layout.run / "ovs", self.user),  # its group's members connect to db.sock
            Folder(self._control.parent, self.user, mode=0o700),
            Folder(layout.etc / "ovs", group=self.user),
        ]

    @property
    def _control(self) -> Path:
        """Where the database's server takes commands, out of reach of its clients."""
        return self.ctx.layout.run / "ovs/own/ovsdb-server.ctl"

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

    def upkeep(self) -> list[UpkeepTask]:
        files = [self.ctx.layout.state / "ovs/conf.db"]
        title = "compact the switch's database"
        return [ovsdb.task("openvswitch-database", title, "ovsdb", self.ctx.platform, self._control, files)]

    def services(self) -> list[Service]:
        run = self.ctx.layout.run / "ovs"
        server = Service(
            "ovsdb",
            (
                self.ctx.platform.program("ovsdb-server"),
                str(self.ctx.layout.state / "ovs/conf.db"),
                f"--remote=punix:{run}/db.sock",
                f"--unixctl={self._control}",
                f"--pidfile={run}/ovsdb-server.pid",
                *QUIET,
            ),
            UnixProbe(run / "db.sock"),
            title="the switch's database (Open vSwitch)",
            user=self.user,
            umask=0o007,  # the group may connect
            env=self.environment(),
            after=("create:ovs",),
            oom_score=OOM_PROTECTED,
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
            user=self.user,
            capabilities=("NET_ADMIN", "NET_RAW", "DAC_OVERRIDE", "IPC_LOCK", "SYS_NICE"),
            env=self.environment(),
            after=("start:ovsdb",),
            oom_score=OOM_PROTECTED,
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
    ctx.platform.run(["chown", f"{SWITCH}:{SWITCH}", str(temporary)])
    ctx.platform.run(["mv", str(temporary), str(path)])
