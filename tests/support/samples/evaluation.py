"""Rows and the head of an evaluation of migrations."""

from __future__ import annotations

from typing import Any

from skerry.migration.plan import load


def about() -> dict[str, Any]:
    plan = load(None).model_dump(mode="json")
    return {
        "plan": plan,
        "seed": 4,
        "hosts": ["two", "three"],
        "interval": 0.01,
        "kernel": "6.1",
        "versions": "QEMU",
    }


def row(flavor: str, number: int, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"flavor": flavor, "dirty": 0, "mode": "pre-copy", "rate": 0, "number": number}
    made |= {"failure": "", "trustworthy": True, "seconds": 3.0 + number, "network_downtime": 100.0 + number}
    made |= {
        "by_loss_sent": 8,
        "by_loss_lost": number % 2,
        "by_loss_rtt": 2.0,
        "by_loss_downtime": 2.0 * (number % 2),
    }
    made |= {
        "spacing": 10.0,
        "qemu_downtime": 5.0,
        "qemu_total": 900.0 + number,
        "guest_rate": 0.0,
        "guest_corrupt": 0,
        **more,
    }
    key = f"{made['flavor']}-{made['dirty']}-{made['mode']}-{made['rate']}-{number}"
    return {"key": key, **made}
