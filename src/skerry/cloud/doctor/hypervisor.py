"""libvirt and QEMU: they answer, know the same guests as nova, and are recent enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from skerry.cloud.components.libvirt.component import Libvirt
from skerry.cloud.components.libvirt.hypervisor import Hypervisor, damaging
from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient
from skerry.common.errors import CommandError

PATIENCE = 15.0  # seconds for an answer: less than a check may take, or nobody would hear why there is none

# States in which nova has no domain on the host, or is about to make or remove one.
WITHOUT_DOMAIN = {
    "ERROR",
    "BUILD",
    "SHELVED",
    "SHELVED_OFFLOADED",
    "DELETED",
    "SOFT_DELETED",
    "MIGRATING",
    "RESIZE",
}


class HypervisorAnswers(Check):
    """libvirt answers, through its API and not just its socket."""

    name = "hypervisor-answers"
    of = ("libvirtd",)
    message = "Without libvirt nova can neither start nor stop a server; those that run continue."
    remedy = "Restart libvirtd; running guests are not touched."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        try:
            Libvirt(patient.ctx).virsh("list", timeout=PATIENCE)
        except CommandError as error:
            vital = patient.vitals["libvirtd"]

            def restart() -> str:
                patient.ctx.supervisor.start(vital.service)
                return "restarted libvirtd"

            yield Finding(
                "error",
                "libvirt does not answer",
                (str(error.args[2]),),
                fix=None if vital.stopped else restart,
            )


class GuestsKnown(Check):
    """nova and libvirt know the same servers."""

    name = "guests-known"
    message = "A server that only one of nova and libvirt knows is lost, or was left behind."
    needs = ("keystone", "nova-api", "libvirtd")
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        try:
            rows = (
                Libvirt(patient.ctx).virsh("list", "--all", "--uuid", "--name", timeout=PATIENCE).splitlines()
            )
        except CommandError as error:
            raise CannotLook(str(error.args[2])) from None
        by_id = {uuid: name for uuid, name in (row.split(maxsplit=1) for row in rows if row.strip())}
        servers = {
            server.id: (server.name, server.status)
            for server in patient.ctx.api.compute.servers(all_projects=True)
            if server.compute_host in (patient.ctx.host.name, None)
        }
        yield from strangers(by_id, servers)


def strangers(domains: Mapping[str, str], servers: Mapping[str, tuple[str, str]]) -> Iterable[Finding]:
    """Findings for domains (id: name) without a server and servers (id: name, status) without a domain."""
    for uuid, name in domains.items():
        if uuid not in servers:
            yield Finding(
                "warning",
                f"libvirt has a guest {name} that nova does not know",
                (f"domain {uuid}",),
                f"It takes memory for nobody. If it is nobody's: virsh destroy and undefine {name}.",
            )
    for uuid, (name, status) in servers.items():
        if uuid not in domains and status not in WITHOUT_DOMAIN:
            yield Finding(
                "error",
                f"server {name} is {status} for nova, but libvirt has no such guest",
                (f"server {uuid}",),
                f"A hard reboot starts it again from its disk: skerry openstack server reboot --hard {uuid}",
            )


class HypervisorFit(Check):
    """QEMU is recent enough for what it has to do."""

    name = "hypervisor-fit"
    message = "QEMU before 9.0 can damage a busy guest's memory in live migration, when it translates (TCG)."
    needs = ("libvirtd",)

    def findings(self, patient: Patient) -> Iterable[Finding]:
        try:
            told = Libvirt(patient.ctx).virsh("version", timeout=PATIENCE)
        except CommandError as error:
            raise CannotLook(str(error.args[2])) from None
        kind = Hypervisor.decided(patient.ctx)
        yield from fitness(told, kind, Hypervisor.reason(patient.ctx))


def fitness(told: str, virt_type: str, reason: str) -> Iterable[Finding]:
    """Findings from the output of ``virsh version`` and the verdict on KVM."""
    version = damaging(told, virt_type)
    if version:
        yield Finding(
            "warning",
            f"QEMU {version} translates guests (TCG), and its live migration damages busy ones",
            (),
            "Install QEMU 9.0 or newer (Debian 12: bookworm-backports). Until then pause a server before it moves;"
            " Skerry's own verbs do.",
        )
    if virt_type == "qemu":
        yield Finding("note", "guests run translated (TCG), several times slower than with KVM", (reason,))
