"""What guests need to know of the host's network."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from skerry.cloud.model.cloud_toml import Cloud


def name_servers(cloud: Cloud, resolv_conf: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The name servers for guests: those of cloud.toml, else the host's own that a guest can reach (IPv4, not loopback)."""
    if cloud.external.dns:
        return [str(server) for server in cloud.external.dns]
    found = []
    for line in resolv_conf.read_text().splitlines() if resolv_conf.exists() else ():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1])
            except ValueError:
                continue
            if address.version == 4 and not address.is_loopback:
                found.append(str(address))
    return found
