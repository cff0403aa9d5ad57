"""A cloud.toml of three hosts, and the context of a host of it."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.operations import graph

TOML = """
[[host]]
name = "one"
address = "198.51.100.11"
roles = ["control", "network"]

[[host]]
name = "two"
address = "198.51.100.12"
roles = ["compute"]
transport = "ssh"
target = "root@198.51.100.12"

[[host]]
name = "three"
address = "198.51.100.13"
roles = ["compute"]
transport = "lab"
target = "isle/three"
"""


def at(root: Path, host: str | None = None, text: str = TOML) -> Context:
    (root / "etc/skerry").mkdir(parents=True, exist_ok=True)
    (root / "etc/skerry/cloud.toml").write_text(text)
    if host:
        (root / "etc/skerry/host").write_text(f"{host}\n")
    return Context.at(root)


def services(ctx: Context) -> set[str]:
    return {service.name for service in graph.services(ctx)}
