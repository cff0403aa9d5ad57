"""Supervision by systemd: one generated unit per service, and one that converges the cloud at boot."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.supervise.base import Process, Supervisor
from skerry.cloud.supervise.process_marks import fingerprint_of
from skerry.cloud.supervise.service import Service
from skerry.common import proc
from skerry.common.files import write_atomically

UNITS = Path("/etc/systemd/system")
STATES = {"active": "running", "activating": "starting", "deactivating": "stopping", "failed": "failed"}


class Systemd(Supervisor):
    """Units ``skerry-NAME.service``. Order and readiness come from ``skerry up``, at boot too."""

    name = "systemd"

    def begin(self) -> None:
        boot = UNITS / "skerry.service"
        if not boot.exists() or boot.read_text() != self.boot_unit():
            write_atomically(boot, self.boot_unit())
            proc.run(["systemctl", "daemon-reload"])
        proc.run(["systemctl", "enable", "--quiet", "skerry.service"])

    def running(self) -> bool:
        return (UNITS / "skerry.service").exists()

    def processes(self) -> dict[str, Process]:
        names = self.installed()
        if not names:
            return {}
        properties = "Id,ActiveState,MainPID,ExecMainStartTimestampMonotonic,Result"
        shown = proc.run(
            ["systemctl", "show", f"--property={properties}", *(f"skerry-{name}" for name in names)]
        )
        found = {}
        for block in shown.stdout.strip().split("\n\n"):
            facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            name = facts["Id"].removeprefix("skerry-").removesuffix(".service")
            pid = int(facts.get("MainPID", 0))
            found[name] = Process(
                name=name,
                state=STATES.get(facts["ActiveState"], "stopped"),
                pid=pid,
                since=Path(f"/proc/{pid}").stat().st_ctime if pid and Path(f"/proc/{pid}").exists() else 0.0,
                fingerprint=fingerprint_of(pid) if pid else "",
                detail=facts.get("Result", ""),
            )
        return found

    def install(self, service: Service) -> None:
        super().install(service)
        unit = UNITS / f"skerry-{service.name}.service"
        text = self.unit(service)
        if not unit.exists() or unit.read_text() != text:
            write_atomically(unit, text)
            proc.run(["systemctl", "daemon-reload"])

    def start(self, service: Service) -> None:
        proc.run(["systemctl", "restart", "--no-block", f"skerry-{service.name}.service"])

    def stop(self, name: str) -> None:
        proc.run(["systemctl", "stop", f"skerry-{name}.service"], check=False)

    def forget(self, name: str) -> None:
        self.stop(name)
        (UNITS / f"skerry-{name}.service").unlink(missing_ok=True)
        self.spec_path(name).unlink(missing_ok=True)

    def end(self) -> None:
        proc.run(["systemctl", "disable", "--quiet", "skerry.service"], check=False)
        (UNITS / "skerry.service").unlink(missing_ok=True)
        proc.run(["systemctl", "daemon-reload"], check=False)
        super().end()

    def boot_unit(self) -> str:
        return f"""# Written by skerry.
[Unit]
Description=Skerry: bring the cloud up after a boot
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={self.layout.tree}/skerry up --no-packages
TimeoutStartSec=900

[Install]
WantedBy=multi-user.target
"""

    def unit(self, service: Service) -> str:
        kill = "process" if service.keeps_children else "control-group"
        return f"""# Written by skerry.
[Unit]
Description=Skerry: {service.title or service.name}
StartLimitIntervalSec=0

[Service]
ExecStart={" ".join(self.launcher(service.name))}
Restart=always
RestartSec=1
KillMode={kill}
TimeoutStopSec={service.stop_seconds}
StandardOutput=append:{self.log_path(service.name)}
StandardError=inherit
UMask=0027
LimitNOFILE={service.nofile}
Delegate=yes
"""
