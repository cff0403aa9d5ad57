"""Debian 12 and 13."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.cloud.platform.base import Platform


class Debian(Platform):
    """Debian, with or without systemd."""

    def installed(self, packages: Sequence[str]) -> dict[str, str]:
        query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", *packages]
        rows = [line.split() for line in self.run(query, check=False).stdout.splitlines()]
        return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed"}
