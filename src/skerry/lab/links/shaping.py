"""What cables do to frames: rate, delay, loss, no carrier. Everything is done in the fabric, on the cable itself.

Rate is a token bucket at both ends. Loss is drawn where frames come in. Delay is a delay line in userspace (delay.py),
because not every kernel has netem; while it works, it draws the losses too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from skerry.common import log
from skerry.common.errors import CommandError
from skerry.common.namespaces import entering, namespace_of
from skerry.common.proc import run
from skerry.common.process import find, kill, marked, start_of
from skerry.lab.links import veth
from skerry.lab.state import Cable, LabState, Shape

QUEUE = 50  # ms of traffic that may wait for its turn on a slow link
BURST = 16_000  # bytes at least, else the bucket never holds a segment
BURST_TIME = 0.002  # seconds of traffic, on fast links
GRAIN = 1_000_000
SEGMENTS = 65_535  # the kernel's default
LINE = "SKERRY_DELAY_LINE"


def wanted(state: LabState, cable: Cable) -> Shape:
    """What a cable should do, by its file and by all faults on it."""
    link = cable.link
    shape = Shape(rate=link.rate, delay=link.delay, loss=link.loss)
    for fault in state.faults:
        if fault.link != link.key:
            continue
        match fault.kind:
            case "cut":
                shape.cut = True
            case "silent":
                shape.loss = 1.0
            case "rate":
                shape.rate = min(shape.rate or int(fault.value), int(fault.value))
            case "delay":
                shape.delay += fault.value
            case "loss":
                shape.loss = 1 - (1 - shape.loss) * (1 - fault.value)
    return shape


def apply(state: LabState, fabric: int, pids: Mapping[str, int], note: Callable[[], None]) -> None:
    """Bring every cable to what it should do. Raises CommandError.

    ``note`` writes the state down: what is about to be changed is unknown there until its caller has written it again.
    """
    changing = [
        (cable, shape, cable.shape)
        for cable in state.cables.values()
        if cable.made == veth.SIDES
        and ((shape := wanted(state, cable)) != cable.shape or not _line_as_it_should_be(cable))
    ]
    if changing:
        for cable, _, _ in changing:
            cable.shape = None
        note()
    for cable, shape, before in changing:
        cable.shape = shape
        veth.ip(veth.carrier(cable), fabric)
        ports = [veth.port_of(cable, side) for side in veth.SIDES]
        if before is None or shape.rate != before.rate:
            for port in ports:
                _limit(port, shape.rate, fabric)
        if before is None or shape.loss != before.loss or shape.delay or before.delay:
            _lose_and_delay(state, cable, ports, fabric, pids)


def _lose_and_delay(
    state: LabState, cable: Cable, ports: list[str], fabric: int, pids: Mapping[str, int]
) -> None:
    assert cable.shape is not None
    forget(cable)
    kill(marked(LINE, _mark(cable, fabric)))  # of a command that was killed before it could write it down
    loss, delay = cable.shape.loss, cable.shape.delay
    _lose(cable, ports, 0.0 if delay else loss, fabric)
    _one_frame_at_a_time(state, cable, 0 < loss < 1, pids)
    if delay:
        veth.ip([f"link set dev {port} nomaster" for port in ports], fabric)
        _delay(cable, ports, fabric)
    else:
        veth.ip([f"link set dev {port} master {veth.bridge_of(cable)}" for port in ports], fabric)


def _line_as_it_should_be(cable: Cable) -> bool:
    runs = cable.line > 0 and start_of(cable.line) == cable.line_started
    return runs == (cable.shape is not None and cable.shape.delay > 0)


def _mark(cable: Cable, fabric: int) -> str:
    """What the delay line of a cable of this fabric has in its environment as ``LINE``."""
    return f"{veth.bridge_of(cable)} {namespace_of(fabric, 'net')}"


def forget(cable: Cable) -> None:
    """End the delay line of a cable, if it has one."""
    if cable.line and start_of(cable.line) == cable.line_started:
        kill([cable.line])
    cable.line = cable.line_started = 0


def _limit(port: str, rate: int | None, fabric: int) -> None:
    tc = entering(fabric, ["tc", "qdisc"], ["net"])
    if rate is None:
        run([*tc, "del", "dev", port, "root"], check=False)
        return
    burst = max(BURST, int(rate / 8 * BURST_TIME))
    words = ["rate", f"{rate}bit", "burst", str(burst), "latency", f"{QUEUE}ms"]
    run([*tc, "replace", "dev", port, "root", "tbf", *words], timeout=20)


def _lose(cable: Cable, ports: list[str], loss: float, fabric: int) -> None:
    table = f"netdev {veth.bridge_of(cable)}"
    rules = [f"table {table}", f"delete table {table}"]
    if loss > 0:
        what = "drop" if loss >= 1 else f"numgen random mod {GRAIN} < {round(loss * GRAIN)} drop"
        chains = [
            f"chain from_{port} {{\ntype filter hook ingress device {port} priority 0;\n{what}\n}}"
            for port in ports
        ]
        rules += [f"table {table} {{", *chains, "}"]
    nft = entering(fabric, ["nft", "-f", "-"], ["net"])
    run(nft, input="\n".join(rules) + "\n", timeout=20)


def _one_frame_at_a_time(state: LabState, cable: Cable, on: bool, pids: Mapping[str, int]) -> None:
    """Let both ends send frames as they are on a real link: else the loss of one takes up to 64 KiB with it."""
    for side, end in zip(veth.SIDES, cable.link.ends, strict=True):
        pid = pids.get(veth.place_of(state.file, end))
        if pid:
            far = veth.far_of(cable, side)
            veth.ip([f"link set dev {far} gso_max_segs {1 if on else SEGMENTS}"], pid, check=False)


def _delay(cable: Cable, ports: list[str], fabric: int) -> None:
    assert cable.shape is not None
    script = [sys.executable, "-I", "-S", str(Path(__file__).with_name("delay_line.py"))]
    argv = [*script, *ports, str(cable.shape.delay), str(cable.shape.loss)]
    argv = ["setsid", "--fork", *entering(fabric, argv, ["net", "mount", "pid"])]
    line = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env={**os.environ, LINE: _mark(cable, fabric)},
    )
    log.started(argv, line.pid)
    assert line.stdout is not None
    line.wait()
    with line.stdout as said:
        answer = said.readline().strip()
    # It prints its process id as it is in the fabric, with which it ends.
    if not answer.isdigit() or not (found := list(find(fabric, answer))):
        raise CommandError("delay_line.py", "an error", answer or "it said nothing")
    cable.line, cable.line_started = found[0]
