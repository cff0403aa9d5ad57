"""Whether KVM is of use, and a real boot by translation."""

from __future__ import annotations

import shutil

import pytest

from skerry.common.accelerator import ProbeBoot, boot

QEMU = shutil.which("qemu-system-x86_64")


@pytest.mark.parametrize(
    ("with_kvm", "without", "useful"),
    [(0.2, 0.1, True), (2.9, 0.1, False), (None, 0.1, False), (0.2, None, True), (None, None, False)],
)
def test_kvm_must_not_be_slower(with_kvm: float | None, without: float | None, useful: bool) -> None:
    assert ProbeBoot(with_kvm).keeps_up_with(ProbeBoot(without)) == useful


@pytest.mark.skipif(QEMU is None, reason="not installed: qemu-system-x86_64")
def test_a_guest_shows_a_sign_of_life_under_translation() -> None:
    found = boot(str(QEMU), "tcg", seconds=30)
    assert found.seconds is not None, found.why


@pytest.mark.skipif(QEMU is None, reason="not installed: qemu-system-x86_64")
def test_what_qemu_says_is_told() -> None:
    assert boot(str(QEMU), "none-such").why.endswith("invalid accelerator none-such")
