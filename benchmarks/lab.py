"""What a lab costs: twenty hosts up and down by the command, and what its cables carry.

Prints a JSON list of figures. Peers run beside it in the same run: iproute2's own network namespaces, which have
neither files nor processes of their own, and a plain veth pair. Needs root.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from skerry.lab.lab import Lab
from skerry.lab.model import parse

ROOT = Path("/var/tmp/skerry-bench/lab")
HOSTS, ROUNDS, SECONDS = 20, 5, 2.0
NETNS = "skerry-bench-lab"
SINK = """
import socket, time
server = socket.create_server(("", 5001))
print("ready", flush=True)
link, _ = server.accept()
count, started = 0, None
while data := link.recv(1 << 20):
    started = started or time.monotonic()
    count += len(data)
print(count * 8 / (time.monotonic() - started) / 1e6)
"""
SOURCE = """
import socket, sys, time
link = socket.create_connection((sys.argv[1], 5001), 5)
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    link.sendall(bytes(65536))
"""


def lab_file(hosts: int, *, kind: str = "bridge") -> str:
    lines = ['name = "bench"', f'switch = [{{name = "tor", kind = "{kind}"}}]']
    for number in range(1, hosts + 1):
        lines += [f'[[host]]\nname = "h{number}"', f'[[link]]\nends = ["h{number}:eth0", "tor"]']
        lines.append(f'addresses = ["10.77.0.{number}/24"]')
    return "\n".join(lines)


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def skerry(*words: str) -> None:
    argv = [sys.executable, "-m", "skerry.cli.main", "--root", str(ROOT), "lab", *words]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def by_the_command() -> tuple[list[float], list[float]]:
    """Seconds of each 'lab up' and 'lab down', the start of the command included."""
    ups, downs = [], []
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(lab_file(HOSTS))
        file.flush()
        for _ in range(ROUNDS):
            ups.append(timed(lambda: skerry("up", file.name)))
            last = Lab.open("bench", ROOT).host(f"h{HOSTS}")
            last.run(["ping", "-c", "1", "-W", "1", "-q", "10.77.0.1"])  # up means that they reach each other
            downs.append(timed(lambda: skerry("down")))
    return ups, downs


def by_iproute() -> tuple[list[float], list[float]]:
    """The same network out of named namespaces: one process for each command, as a script would."""
    names = [f"{NETNS}-{number}" for number in range(1, HOSTS + 1)]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    def up() -> None:
        ip("netns", "add", NETNS)
        ip("-n", NETNS, "link", "add", "tor", "type", "bridge")
        ip("-n", NETNS, "link", "set", "tor", "up")
        for number, name in enumerate(names, 1):
            ip("netns", "add", name)
            ip(
                "-n",
                NETNS,
                "link",
                "add",
                f"p{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            ip("-n", NETNS, "link", "set", f"p{number}", "master", "tor", "up")
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "eth0", "up")

    def down() -> None:
        for name in (*names, NETNS):
            ip("netns", "delete", name)

    ups, downs = [], []
    for _ in range(ROUNDS):
        ups.append(timed(up))
        downs.append(timed(down))
    return ups, downs


def throughput(sink: list[str], source: list[str]) -> float:
    """Mbit/s of one TCP connection; the words before are those that enter the two networks."""
    receiver = subprocess.Popen([*sink, sys.executable, "-u", "-c", SINK], stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None
    receiver.stdout.readline()
    subprocess.run([*source, sys.executable, "-c", SOURCE, "10.77.0.2", str(SECONDS)], check=True)
    return float(receiver.communicate(timeout=30)[0])


def through_a_lab(kind: str) -> tuple[list[float], float]:
    """Mbit/s between two hosts, and the median of a ping in ms over a link that delays by 20 ms."""
    with Lab(parse(lab_file(2, kind=kind), "the benchmark's lab file"), ROOT) as lab:
        rates = [throughput(lab.host("h2").enter([]), lab.host("h1").enter([])) for _ in range(ROUNDS)]
        with lab.delay("h1:eth0", 0.02):
            said = lab.host("h1").run(["ping", "-c", "100", "-i", "0.02", "10.77.0.2"]).stdout
    return rates, statistics.median(float(text) for text in re.findall(r"time=([\d.]+) ms", said))


def through_a_pair() -> list[float]:
    """Mbit/s between two namespaces that a veth pair joins."""
    one, other = f"{NETNS}-1", f"{NETNS}-2"
    subprocess.run(["ip", "netns", "add", one], check=True)
    subprocess.run(["ip", "netns", "add", other], check=True)
    try:
        pair = ["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", other]
        subprocess.run(["ip", "-n", one, *pair], check=True)
        for number, name in enumerate((one, other), 1):
            for words in (f"address add 10.77.0.{number}/24 dev eth0", "link set eth0 up"):
                subprocess.run(["ip", "-n", name, *words.split()], check=True)
        return [
            throughput(["ip", "netns", "exec", other], ["ip", "netns", "exec", one]) for _ in range(ROUNDS)
        ]
    finally:
        subprocess.run(["ip", "netns", "delete", one], check=True)
        subprocess.run(["ip", "netns", "delete", other], check=True)


def figure(
    name: str,
    values: list[float],
    unit: str,
    how: str,
    peer: str,
    peers: list[float],
    must: float | None = None,
) -> dict[str, object]:
    value, peer_value = round(statistics.median(values), 2), round(statistics.median(peers), 2)
    print(f"{name}: {value} {unit}", file=sys.stderr)
    seen = f"; seen: {min(values):.2f} to {max(values):.2f}" if len(values) > 1 else ""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": round(value / peer_value, 3) if peer_value else None,
        "must": must,
        "aim": None,
        "rounds": len(values),
        "how": how + seen,
    }


def main() -> None:
    ROOT.mkdir(parents=True, exist_ok=True)
    ups, downs = by_the_command()
    plain_ups, plain_downs = by_iproute()
    iproute = "ip netns: networks only, one command after the other"
    pair = "a veth pair between two namespaces"
    rows = [
        figure(
            f"{HOSTS} hosts up", ups, "s", "skerry lab up FILE, hosts on one bridge", iproute, plain_ups, 10
        ),
        figure(f"{HOSTS} hosts down", downs, "s", "skerry lab down", iproute, plain_downs, 5),
    ]
    plain = through_a_pair()
    for kind, what in (("bridge", "a bridge"), ("ovs", "Open vSwitch (userspace)")):
        rates, delayed = through_a_lab(kind)
        how = f"one TCP connection between two hosts on {what}, {SECONDS:g} s"
        rows.append(figure(f"TCP over {what}", rates, "Mbit/s", how, pair, plain))
        how = "ping over a link that delays by 20 ms in each direction, median of 100; the peer is what was asked"
        rows.append(figure(f"round trip with 20 ms of delay, {what}", [delayed], "ms", how, "asked", [40.0]))
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
