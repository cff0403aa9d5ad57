"""Descriptions of machines."""

from __future__ import annotations

import pytest

from skerry.cloudlet.overlay.machine import Machine


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "q35"},
        {"type": "pc-q35-7.2,accel=kvm"},
        {"cpu": "host"},
        {"cpu": "Nehalem,+vmx"},
        {"cpus": 0},
        {"memory_mib": True},
        {"layout": 2},
    ],
)
def test_machines_are_named_and_versioned(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Machine.from_json({**Machine().to_json(), **fields})
