"""Which hosts have joined the cloud."""

from __future__ import annotations

import json

from skerry.cloud.context import Context
from skerry.cloud.model.cloud_toml import Host
from skerry.common.errors import ConfigError


class Members:
    """The hosts that have joined, on file: cloud.toml no longer has how to reach one that was removed from it."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._path = ctx.layout.hosts

    def all(self) -> dict[str, Host]:
        text = self.ctx.platform.read(self._path)
        try:
            return {name: Host.model_validate(data) for name, data in json.loads(text or "{}").items()}
        except (ValueError, AttributeError) as error:
            raise ConfigError(self._path, f"is not a list of hosts ({error})".splitlines()[0]) from None

    def _save(self, hosts: dict[str, Host]) -> None:
        data = {name: host.model_dump(mode="json") for name, host in sorted(hosts.items())}
        self.ctx.platform.write(self._path, json.dumps(data, indent=1) + "\n", mode=0o600)

    def add(self, host: Host) -> None:
        if self.all().get(host.name) != host:
            self._save({**self.all(), host.name: host})

    def remove(self, name: str) -> None:
        self._save({other: host for other, host in self.all().items() if other != name})

    def departing(self) -> list[Host]:
        named = {host.name for host in self.ctx.cloud.host}
        return [host for name, host in self.all().items() if name not in named]
