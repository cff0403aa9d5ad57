"""What a whole cloud costs, on a bare Debian machine: time to the first server, restarts, memory, servers.

Prints a JSON list of figures. The peers' figures are those of their own documents: they need a machine to themselves
for the better part of an hour, and cannot run in the same namespaces.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.support.bare_debian import bare_debian

FOLDER = Path("/var/tmp/skerry-bench")
SERVERS = """
import json, statistics, sys, time
import openstack
from concurrent.futures import ThreadPoolExecutor
api = openstack.connect(cloud="skerry")
image, flavor = api.image.find_image("tiny"), api.compute.find_flavor("m1.nano")
network = api.network.find_network("private")

def create(name, pause=0.1):
    started = time.monotonic()
    server = api.compute.create_server(
        name=name, image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
    )
    while True:
        now = api.compute.get_server(server.id)
        if now.status == "ACTIVE":
            return time.monotonic() - started, server
        if now.status == "ERROR" or time.monotonic() - started > 300:
            sys.exit(f"{name} is {now.status} after {time.monotonic() - started:.0f} s: {now.fault}")
        time.sleep(pause)

def delete(servers):
    for server in servers:
        api.compute.delete_server(server)
    for server in servers:
        api.compute.wait_for_delete(server, interval=0.5, wait=180)

one = []
for number in range(10):
    seconds, server = create(f"one-{number}")
    one.append(round(seconds, 2))
    delete([server])
started = time.monotonic()
with ThreadPoolExecutor(10) as pool:
    made = list(pool.map(lambda number: create(f"ten-{number}", 2), range(10)))
ten = time.monotonic() - started
delete([server for _, server in made])
print(json.dumps({"one": one, "ten": round(ten, 2)}))
"""
SLOW = """
import socket, time, urllib.request
head = b"POST /auth/login/ HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 1000\\r\\n\\r\\nx"
times = []
for _ in range(5):
    clients = [socket.create_connection(("127.0.0.1", 8080), 5) for _ in range(50)]
    for client in clients:
        client.sendall(head)
    started = time.monotonic()
    urllib.request.urlopen("http://127.0.0.1:8080/auth/login/", timeout=60).read()
    times.append(round(time.monotonic() - started, 2))
    for client in clients:
        client.close()
print(times)
"""
DEVSTACK = "DevStack quick start: 15 to 30 minutes, the upper end of which is not counted"
KOLLA = "Kolla-Ansible quick start, host requirements: 8 GB of memory"


def figure(
    name: str,
    value: float,
    unit: str,
    must: float | None,
    aim: float | None,
    rounds: int,
    how: str,
    **peer: object,
) -> dict[str, object]:
    row: dict[str, object] = {"name": name, "value": value, "unit": unit, "must": must, "aim": aim}
    row |= {"peer": None, "peer_value": None, "ratio": None, **peer, "rounds": rounds, "how": how}
    if isinstance(row["peer_value"], int | float):
        row["ratio"] = round(value / float(row["peer_value"]), 3)
    print(f"{name}: {value} {unit}", file=sys.stderr)
    return row


def main() -> None:
    checkout = Path(__file__).resolve().parents[1]
    rows = []
    with bare_debian(FOLDER, checkout) as machine:

        def timed(command: str) -> float:
            started = time.monotonic()
            machine.run(f"cd /root/skerry && {command}")
            return round(time.monotonic() - started, 1)

        how = "./skerry up on a minimal Debian, from the call to a shell command run on the server over SSH"
        bare = timed("./skerry up")
        rows.append(
            figure(
                "bare machine to first server", bare, "s", 240, 150, 1, how, peer=DEVSTACK, peer_value=15 * 60
            )
        )
        rows.append(
            figure("up when all is up", timed("./skerry up"), "s", 5, None, 1, "./skerry up, a second time")
        )
        down = timed("./skerry down")
        print(f"down: {down} s", file=sys.stderr)
        rows.append(
            figure("up after down", timed("./skerry up"), "s", 60, None, 1, "./skerry down; ./skerry up")
        )
        machine.run("cd /root/skerry && ./skerry openstack quota set --instances 20 --cores 20 admin")
        script = machine.root / "root/servers.py"
        script.write_text(SERVERS)
        python = "$(ls -d /opt/skerry/env/*/bin/python)"
        servers = json.loads(
            machine.run(
                f"OS_CLIENT_CONFIG_FILE=/etc/skerry/clouds.yaml {python} /root/servers.py"
            ).splitlines()[-1]
        )
        how = f"create to ACTIVE through the API, one after the other, seconds: {servers['one']}"
        rows.append(
            figure(
                "server create to ACTIVE, median", statistics.median(servers["one"]), "s", 5, None, 10, how
            )
        )
        rows.append(
            figure(
                "10 servers at once, all ACTIVE",
                servers["ten"],
                "s",
                60,
                None,
                1,
                "10 creates at the same time, each asked for its state every 2 s (as the SDK does)",
            )
        )
        time.sleep(60)
        status = json.loads(machine.run("cd /root/skerry && ./skerry status --json || true"))
        how = "PSS of all services and their children a minute after the last work; guests are not counted"
        memory = round(status["memory"] / 2**30, 2)
        rows.append(figure("control plane, idle", memory, "GiB", 2.6, 1.8, 1, how, peer=KOLLA, peer_value=8))
        (machine.root / "root/slow.py").write_text(SLOW)
        times = json.loads(machine.run(f"{python} /root/slow.py").splitlines()[-1])
        how = f"GET of the login page while 50 clients have started to send a form and stopped, seconds: {times}"
        rows.append(figure("login page beside 50 slow clients, worst", max(times), "s", 1, None, 5, how))
        how = "./skerry backup FILE, verified, while the cloud runs"
        rows.append(
            figure(
                "backup of the control plane",
                timed("./skerry backup /root/cloud.backup"),
                "s",
                60,
                20,
                1,
                how,
            )
        )
        machine.run("cp /etc/skerry/backup.key /root/ && cd /root/skerry && ./skerry destroy --yes")
        how = "./skerry restore FILE after destroy (packages removed, environment kept), to working APIs"
        restored = timed("./skerry restore /root/cloud.backup --key /root/backup.key")
        rows.append(figure("restore to working APIs", restored, "s", 300, 180, 1, how))
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
