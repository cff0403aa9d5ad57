"""Run on the machine, by root: what of all that listens there takes a connection from the user nobody, as JSON.

It lists TCP ports and Unix sockets, those without a file too, as root, and then tries them as nobody.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
from pathlib import Path

import psutil

ACCEPTS = 0x10000  # __SO_ACCEPTCON in the flags column of /proc/net/unix


def ports() -> list[tuple[str, int]]:
    every = (one.laddr for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return sorted({(anywhere.get(place.ip, place.ip), place.port) for place in every})


def sockets() -> list[str]:
    found = set()
    with Path("/proc/net/unix").open() as table:
        for line in table.readlines()[1:]:
            words = line.split(maxsplit=7)
            if len(words) == 8 and int(words[3], 16) & ACCEPTS:
                found.add(words[7].strip())
    return sorted(found)


def opens(family: int, address: tuple[str, int] | str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(3)
        try:
            attempt.connect(address)
        except OSError:
            return False
    return True


def main() -> None:
    places, names = ports(), sockets()
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    kinds = {True: socket.AF_INET6, False: socket.AF_INET}
    open_ports = [port for ip, port in places if opens(kinds[":" in ip], (ip, port))]
    open_sockets = [name for name in names if opens(socket.AF_UNIX, name.replace("@", "\0", 1))]
    tried = {"ports": [port for _, port in places], "sockets": names}
    print(json.dumps({"ports": sorted(set(open_ports)), "sockets": open_sockets, "tried": tried}))


if __name__ == "__main__":
    main()
