"""The hypervisor and its guests: facts in, findings out."""

from __future__ import annotations

import pytest
from tests.support.samples.doctor import said

from skerry.cloud.doctor.hypervisor import fitness, strangers


@pytest.mark.parametrize(
    ("version", "virt", "told"),
    [
        ("10.0.2", "qemu", ["note: guests run translated (TCG), several times slower than with KVM"]),
        ("7.2.13", "kvm", []),
        (
            "7.2.13",
            "qemu",
            [
                "warning: QEMU 7.2 translates guests (TCG), and its live migration damages busy ones",
                "note: guests run translated (TCG), several times slower than with KVM",
            ],
        ),
    ],
)
def test_qemu(version: str, virt: str, told: list[str]) -> None:
    assert said(fitness(f"Running hypervisor: QEMU {version}\n", virt, "why")) == told


def test_guests_that_only_one_side_knows() -> None:
    findings = list(
        strangers({"a": "instance-1", "b": "instance-2"}, {"a": ("web", "ACTIVE"), "c": ("db", "SHUTOFF")})
    )
    assert said(findings) == [
        "warning: libvirt has a guest instance-2 that nova does not know",
        "error: server db is SHUTOFF for nova, but libvirt has no such guest",
    ]
    assert list(strangers({}, {"d": ("new", "BUILD"), "e": ("old", "ERROR")})) == []
