"""Be a guest on a tap: ask the host's address for an echo by a frame to the tap's own MAC, before and after the rules.

Prints 'taken' or 'dropped' for each: whether the host's network counted the request.
"""

import fcntl
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
HOST, GUEST = "203.0.113.2", "203.0.113.77"  # the machine of the test, see machines.py


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(mac: bytes) -> bytes:
    def octets(address: str) -> bytes:
        return bytes(int(part) for part in address.split("."))

    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"12345678"
    echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(echo), 1, 0, 64, 1, 0, octets(GUEST), octets(HOST))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return mac + b"\x02\0\0\0\0\1" + b"\x08\0" + head + echo


def requests() -> int:
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Icmp:" in line
    )
    return int(dict(zip(names, values, strict=True))["InEchos"])


def main(tap: str) -> None:
    for name in (tap.replace("tap", "oth"), tap):  # one that is not kept, one that is
        device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")
        time.sleep(1)
        before = requests()
        mac = bytes.fromhex(Path(f"/sys/class/net/{name}/address").read_text().strip().replace(":", ""))
        os.write(device, echo_request(mac))
        time.sleep(0.3)
        print("taken" if requests() > before else "dropped")
        os.close(device)


if __name__ == "__main__":
    main(sys.argv[1])
