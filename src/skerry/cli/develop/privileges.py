"""The page of the reference that shows which user may what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from skerry.cli.develop.markdown import code, page, table
from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.model.users import GROUP, OPENS, ROOT, USERS
from skerry.cloud.operations.graph import services
from skerry.cloud.supervise.service import Folder, Service

HELPERS = "what it starts as root has at most"


def who_may_what(hosts: Sequence[Context]) -> str:
    """Users, groups, folders, capabilities and ports of a cloud on these hosts."""
    every = {service.name: service for ctx in hosts for service in services(ctx)}
    parts = [part for ctx in hosts for part in registry.present(ctx)]
    folders = {folder.path: folder for part in parts for folder in part.folders()}
    run = hosts[0].layout.run
    return page(
        "Who may what",
        "Each theme of services has a system user, which `up` makes and `destroy` removes. A secret file is 0600 and of "
        "the one user that reads it. No service gains rights by starting a program (`no_new_privs`), but those that start "
        "helpers as root; none has capabilities beyond those listed here (the bounding set). Reasons are in "
        "[record 0033](../decisions/0033-users-by-theme.md).",
        "## Users",
        table(("user", "runs", "is also in", "services"), _users(every.values())),
        "## Groups",
        table(("group", "its members may", "members besides its own user"), _groups()),
        "## Services with capabilities",
        f"*Helpers*: {HELPERS}. All others have none. Services of `root` without a list have all.",
        table(("service", "user", "capabilities", "helpers"), _capable(every.values())),
        "## Sockets",
        "Who gets into a folder of sockets; the sockets themselves are for owner and group at most.",
        table(
            ("folder", "owner", "group", "mode"),
            _folders(folder for folder in folders.values() if run in folder.path.parents),
        ),
        "## Ports on the host itself",
        "Rules of the firewall by user (`nft list table inet skerry_loopback`): what opens a connection from the host to "
        "itself is refused for others. `root` may connect to all, `skerry-guest` to none, whether listed here or not. "
        "Ports that are not listed are for everybody: APIs, the dashboard, the consoles' proxies. But "
        f"{_fetching()}, who fetch what a tenant names (images, templates), connect to the APIs' ports and those "
        "listed for them, and to no address of the cloud's hosts or of 169.254.0.0/16.",
        table(("port", "what", "users"), _ports()),
        "Guests reach nothing of the host by the external network; they may ping it. A host that forwards only since "
        "there is a cloud on it forwards what comes from other machines to guests alone.",
    )


def _users(every: Iterable[Service]) -> Iterator[tuple[str, ...]]:
    by_user: dict[str, list[str]] = {}
    for service in every:
        by_user.setdefault(service.user, []).append(code(service.name))
    for user in USERS.values():
        groups = " ".join(code(name) for name in user.groups)
        yield code(user.name), user.runs, groups, ", ".join(by_user.get(user.name, ["started by libvirtd"]))
    yield code(ROOT), "libvirt", "", ", ".join(by_user[ROOT])


def _fetching() -> str:
    return " and ".join(code(user.name) for user in USERS.values() if user.fetches)


def _groups() -> Iterator[tuple[str, ...]]:
    for name, may in OPENS.items():
        members = [code(user.name) for user in USERS.values() if name in user.groups]
        yield code(name), may, "all users" if name == GROUP else ", ".join(members)


def _capable(every: Iterable[Service]) -> Iterator[tuple[str, ...]]:
    for service in every:
        if service.capabilities or service.bounding is None:
            lists = (" ".join(map(code, names)) for names in (service.capabilities, service.helpers))
            yield (code(service.name), code(service.user), *lists)


def _folders(every: Iterable[Folder]) -> Iterator[tuple[str, ...]]:
    for folder in sorted(every, key=lambda folder: folder.path):
        owner, group = folder.owners.split(":")
        yield code(str(folder.path)), code(owner), code(group), f"{folder.mode:04o}"


def _ports() -> Iterator[tuple[str, ...]]:
    for port in sorted(registry.ports().values(), key=lambda port: port.number):
        if port.clients is not None:
            yield port.numbers, port.name, ", ".join(map(code, port.clients))
