"""The hosts of a cloud as the evaluation of migrations needs them (``skerry.migration.site``)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

from skerry.cloud.components.libvirt.component import FAULTS, Libvirt
from skerry.cloud.components.libvirt.hypervisor import VERDICT, damaging
from skerry.cloud.config import ini
from skerry.cloud.context import Context
from skerry.cloud.engine.transport import Transport
from skerry.cloud.hosts.join import Joined
from skerry.cloud.model.users import GUEST
from skerry.cloud.resources.compute_hosts import ComputeHostsAlive
from skerry.cloud.resources.first_server import ssh_command
from skerry.common.errors import PreflightError
from skerry.common.namespaces import entering
from skerry.common.wait import wait_for

TIMEOUT = 300.0  # seconds for a host to take new options


class Hosts:
    """The compute hosts of a cloud that this, the control host, moves servers between.

    Raises PreflightError when there are fewer than two, or when the control host runs servers itself.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        computes = ctx.cloud.computes
        if len(computes) < 2:
            raise PreflightError(
                "There is no second host to move a server to.", remedy="Add one: docs/how-to/hosts.md."
            )
        if ctx.does("compute"):
            raise PreflightError(
                f"Host {ctx.host.name} runs servers and the control plane, which each change of options would restart.",
                remedy="Take 'compute' out of its roles in cloud.toml: two other hosts are enough.",
            )
        self._joined = {host.name: Joined(ctx, host) for host in ctx.cloud.others}
        self.computes = [host.name for host in computes]
        self._sites: dict[str, str] = {}  # the operators' layer of each host, while it is another

    @property
    def here(self) -> str:
        return self._ctx.host.name

    @property
    def virsh(self) -> list[str]:
        return ["virsh", "--connect", Libvirt(self._ctx).uri]

    @property
    def vsctl(self) -> list[str]:
        return self._ctx.layout.vsctl

    def _there(self, host: str) -> Transport:
        return self._ctx.platform.transport if host == self.here else self._joined[host].there

    def run(
        self, host: str, argv: Sequence[str], *, timeout: float = 60, check: bool = True
    ) -> CompletedProcess[str]:
        return self._there(host).run(argv, timeout=timeout, check=check)

    def watch(self, host: str, argv: Sequence[str], report: Callable[[str], None], *, timeout: float) -> None:
        self._joined[host].there.watch(argv, report, timeout=timeout)

    def login(self, address: str) -> list[str]:
        *ssh, target = ssh_command(self._ctx, address)
        shared = self._ctx.layout.run / "ssh-%C"  # one connection for all; only root writes there
        once = ["-o", "ControlMaster=auto", "-o", f"ControlPath={shared}", "-o", "ControlPersist=30"]
        return [*ssh, *once, "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", target]

    def may_fault(self, host: str) -> bool:
        argv = ["cat", "/proc/sys/vm/unprivileged_userfaultfd"]
        if self.run(host, argv, check=False).stdout.strip() == "1":
            return True
        libvirtd = self.run(host, ["cat", "/run/libvirtd.pid"], check=False).stdout.strip()
        if not libvirtd.isdigit():
            return False
        user = ["setpriv", f"--reuid={GUEST}", f"--regid={GUEST}", "--clear-groups"]
        argv = entering(int(libvirtd), [*user, "test", "-w", str(FAULTS)], ["mount"])
        return self.run(host, argv, check=False).returncode == 0

    def demand_safe(self) -> None:
        """Raises PreflightError where moving a running server would damage its memory."""
        for host in self.computes:
            version = damaging_qemu(self._ctx, self._there(host))
            if version:
                raise PreflightError(
                    f"QEMU {version} on {host} translates guests (TCG): live migration damages busy ones' memory.",
                    remedy="Install QEMU 9.0 or newer there. Only paused servers are safe to move until then.",
                )

    # -- nova's options -----------------------------------------------------------------------------------

    def configure(self, options: Mapping[str, object] | None, report: Callable[[str], None]) -> None:
        """See ``Site``: the operator's layer is changed, and 'skerry up' there restarts what reads it.

        The layer of the control host stays as it is: if this is killed, the next 'skerry up' brings it to all hosts again.
        """
        with ThreadPoolExecutor(len(self.computes)) as pool:
            list(pool.map(lambda host: self._configure(host, options, report), self.computes))
        alive = ComputeHostsAlive(self._ctx)
        wait_for("the compute hosts", alive.missing, TIMEOUT)

    def _configure(
        self, host: str, options: Mapping[str, object] | None, report: Callable[[str], None]
    ) -> None:
        path = self._ctx.layout.etc / "nova" / ini.SITE
        transport = self._there(host)
        before = self._sites.setdefault(host, transport.read(path) or "")
        text = before if options is None else with_options(before, options)
        if transport.read(path) != text:
            transport.write(path, text, mode=0o600)
            self._up(host, report)

    def _up(self, host: str, report: Callable[[str], None]) -> None:
        report(f"{host} takes its new options")
        joined = self._joined[host]
        joined.there.watch([joined.command, "up"], lambda line: None, timeout=TIMEOUT)
        self._ctx.journal.finish(joined.name, str(int(time.time())))


def damaging_qemu(ctx: Context, there: Transport) -> str | None:
    """The version of a host's QEMU if its live migration damages busy guests, else None. Raises CommandError."""
    told = there.run(["virsh", "--connect", Libvirt(ctx).uri, "version"], timeout=30).stdout
    verdict = json.loads(there.read(ctx.layout.state / VERDICT) or "{}")
    return damaging(told, verdict.get("virt_type", "qemu"))


def with_options(layer: str, options: Mapping[str, object]) -> str:
    """An operator's layer with options of the section [libvirt] added; of several values oslo.config takes the last."""
    lines = [f"{name} = {value}" for name, value in options.items()]
    return "\n".join(
        [
            layer.rstrip("\n"),
            "# For 'skerry migration run'.",
            "[libvirt]",
            *lines,
            "",
        ]
    )
