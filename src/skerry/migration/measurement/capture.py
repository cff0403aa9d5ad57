"""Both ends of the probes, as tcpdump sees them, in standard pcap files."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from skerry.common.errors import PreflightError, SkerryError
from skerry.migration.measurement.probe import UDP_PORT
from skerry.migration.site import Site

SNAP = 128  # bytes of a frame
FOLDER = "/run/skerry-captures"


def demand(site: Site) -> None:
    """Raises PreflightError, which names the host, where nothing can be captured."""
    for host in {site.here, *site.computes}:
        tried = site.run(host, ["tcpdump", "-i", "any", "-L"], check=False)
        if tried.returncode:
            missing = tried.returncode == 127 or "not found" in tried.stderr or "No such file" in tried.stderr
            why = "tcpdump is not installed" if missing else " ".join(tried.stderr.split())[-200:]
            remedy = (
                "Install it: apt-get install tcpdump." if missing else "tcpdump must be allowed there (root)."
            )
            raise PreflightError(
                f"Frames cannot be captured on {host}: {why}.", remedy=f"{remedy} Or use --no-captures."
            )


class Captures:
    """Frames of the probes on the prober's host and on all compute hosts while the block runs.

    ``addresses`` are those of the server, floating and fixed. Files are ``FOLDER/KEY-HOST.pcap`` in ``folder``
    (times in nanoseconds). tcpdump ends after ``most`` seconds by itself.
    """

    def __init__(self, site: Site, folder: Path, key: str, addresses: list[str], most: float) -> None:
        self._site, self._folder, self._key, self._most = site, folder, key, most
        hosts = " or ".join(f"host {address}" for address in addresses)
        self._filter = f"({hosts}) and (icmp or udp port {UDP_PORT})"
        self._running: dict[str, str] = {}

    def _there(self) -> str:
        return f"{FOLDER}/{self._key}.pcap"

    def __enter__(self) -> Captures:
        argv = ["tcpdump", "-i", "any", "-n", "-s", str(SNAP), "-Z", "root", "-w", self._there()]
        argv += ["--time-stamp-precision=nano", self._filter]
        script = f"mkdir -p {FOLDER}; setsid timeout -k 5 {int(self._most)} {shlex.join(argv)}"
        script += " >/dev/null 2>&1 </dev/null & echo $!"
        for host in (self._site.here, *self._site.computes):
            self._running[host] = self._site.run(host, ["sh", "-c", script]).stdout.strip()
        return self

    def __exit__(self, *_: object) -> None:
        for host, pid in self._running.items():
            script = f"kill -INT -{pid} 2>/dev/null; sleep 0.2; base64 {self._there()}; rm -f {self._there()}"
            try:
                packed = self._site.run(host, ["sh", "-c", script], check=False).stdout
                (self._folder / f"{self._key}-{host}.pcap").write_bytes(base64.b64decode(packed))
            except (SkerryError, ValueError):
                continue  # the host is gone, and its file with it
