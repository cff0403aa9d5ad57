"""A load: servers that are made at once, boot, and go at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from skerry.cloud.context import Context
from skerry.cloud.operations.verify.accounts import Member
from skerry.cloud.operations.verify.results import PATIENCE, Show, SuiteResults
from skerry.cloud.resources.base import IMAGE, own_images
from skerry.common.errors import NotReadyError
from skerry.common.wait import wait_for

NAME = "load"
READY = "skerry-tiny: ready"  # on the console of a server that has an address and listens


def run(ctx: Context, folder: Path, show: Show, users: list[Member], *, servers: int) -> SuiteResults:
    """All of them must be active, boot until they have an address and listen, and be gone again."""
    results = SuiteResults("load", str(folder))
    compute, network = users[0].api.compute, users[0].api.network
    net = network.create_network(name=NAME)
    network.create_subnet(name=NAME, network_id=net.id, ip_version=4, cidr="10.95.0.0/24")
    compute.create_server(
        name=NAME,
        image_id=own_images(ctx.api)[IMAGE].id,
        flavor_id=compute.find_flavor("m1.nano", ignore_missing=False).id,
        networks=[{"uuid": net.id}],
        min_count=servers,
        max_count=servers,
    )

    def mine() -> list[Any]:
        return list(compute.servers())

    def inactive() -> str | None:
        found = mine()
        if broken := [server for server in found if server.status == "ERROR"]:
            return f"{len(broken)} in error: {(broken[0].fault or {}).get('message')}"
        return _lacking(servers, sum(server.status == "ACTIVE" for server in found), "active")

    def asleep() -> str | None:
        booted = (compute.get_server_console_output(server.id)["output"] or "" for server in mine())
        return _lacking(servers, sum(READY in console for console in booted), "have booted")

    def there() -> str | None:
        left = mine()
        return f"{len(left)} of {servers} are still there" if left else None

    results.check(f"{servers} servers are active", _awaited(inactive), show)
    results.check("they have booted", _awaited(asleep), show)
    for server in mine():
        compute.delete_server(server)
    results.check("they are gone", _awaited(there), show)
    return results


def _lacking(wanted: int, have: int, what: str) -> str | None:
    return None if have == wanted else f"{have} of {wanted} {what}"


def _awaited(lack: Callable[[], str | None]) -> str | None:
    """None when it came, else what was missing at the end."""
    try:
        wait_for("the servers", lack, PATIENCE, every=3)
    except NotReadyError as late:
        return str(late)
    return None
