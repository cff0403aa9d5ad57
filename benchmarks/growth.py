"""Whether the control plane grows: its memory over two hours of steady work, the first half hour left out.

Prints a JSON list of figures. Servers are made and deleted one after the other; each boots, asks the metadata service,
and has its consoles opened.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from benchmarks.cloud import FOLDER, figure
from benchmarks.support.bare_debian import bare_debian

MINUTES, SETTLED = 120, 30  # of the work, and of what is not counted at its beginning
EVERY = 5  # minutes from one look at the memory to the next
WORK = """
import json, subprocess, sys, time
import openstack
minutes, every = map(float, sys.argv[1:])
api = openstack.connect(cloud="skerry")
image, flavor = api.image.find_image("tiny"), api.compute.find_flavor("m1.nano")
network = api.network.find_network("private")
started = looked = time.monotonic()
servers, seen = 0, []

def memory():
    shown = subprocess.run(["/root/skerry/skerry", "status", "--json"], stdout=subprocess.PIPE).stdout
    return json.loads(shown)["memory"]

while time.monotonic() - started < minutes * 60:
    server = api.compute.create_server(
        name="steady", image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
    )
    api.compute.wait_for_server(server, wait=300)
    api.compute.create_server_remote_console(server, protocol="vnc", type="novnc")
    api.compute.create_server_remote_console(server, protocol="serial", type="serial")
    for _ in range(60):
        if "from the metadata service" in api.compute.get_server_console_output(server)["output"]:
            break
        time.sleep(1)
    else:
        sys.exit("a server has not had its metadata after a minute")
    api.compute.delete_server(server)
    api.compute.wait_for_delete(server, wait=180)
    servers += 1
    if time.monotonic() - looked > every * 60:
        looked = time.monotonic()
        seen.append([round((looked - started) / 60, 1), memory(), servers])
        print(seen[-1], file=sys.stderr)
print(json.dumps(seen))
"""


def growth(seen: list[tuple[float, int, int]], settled: float) -> float:
    """Percent from the median of the first third of what was seen after ``settled`` minutes to that of the last third."""
    counted = [memory for minute, memory, _ in seen if minute >= settled]
    third = max(1, len(counted) // 3)
    before, after = statistics.median(counted[:third]), statistics.median(counted[-third:])
    return round(100 * (after - before) / before, 2)


def main() -> None:
    with bare_debian(FOLDER, Path(__file__).resolve().parents[1]) as machine:
        machine.run("cd /root/skerry && ./skerry up")
        (machine.root / "root/work.py").write_text(WORK)
        python = "$(ls -d /opt/skerry/env/*/bin/python)"
        command = f"OS_CLIENT_CONFIG_FILE=/etc/skerry/clouds.yaml {python} /root/work.py {MINUTES} {EVERY}"
        seen = json.loads(machine.run(command, timeout=MINUTES * 60 + 1800).splitlines()[-1])
    how = f"PSS of all services, [minute, bytes, servers so far]: {seen}"
    row = figure("growth of the control plane", growth(seen, SETTLED), "%", 3, 0, 1, how)
    print(json.dumps([row], indent=1))


if __name__ == "__main__":
    main()
