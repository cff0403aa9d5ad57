"""Follows a request through the logs of all services to the first thing that went wrong.

oslo.log writes ``[GLOBAL LOCAL user project ...]`` before a message: the id of the request that a user made,
as it was handed on, and the id that this service gave its own part. The first id of a request is the global
one of everything that other services did for it. Pure functions: logs come in as lines, findings go out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

_LINE = re.compile(
    r"^(?P<time>[\d-]{10} \d\d:\d\d:\d\d\.\d+) \d+ (?P<level>[A-Z]+) (?P<logger>\S+) ?(?P<rest>.*)$"
)
_CONTEXT = re.compile(r"^\[(?P<ids>(?:None|req-[0-9a-f-]+|-)(?: req-[0-9a-f-]+)?)[^\]]*\] ?(?P<text>.*)$")
_INSTANCE = re.compile(r"^\[instance: (?P<id>[0-9a-f-]{36})\] ?(?P<text>.*)$")
_REQUEST = re.compile(r"req-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EXCEPTION = re.compile(
    r"(?P<name>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Refused|Failed|NotFound|\w+)): (?P<text>.+)"
)
FAILED = ("ERROR", "CRITICAL")


@dataclass(frozen=True)
class Line:
    """One line of a log as oslo.log writes it.

    ``number`` counts from 1, ``time`` is as written, to the millisecond. A line without ``context`` belongs
    to the traceback of the line with one before it.
    """

    service: str
    number: int
    time: str
    level: str
    logger: str
    ids: tuple[str, ...]
    instance: str
    text: str
    context: bool = True

    @property
    def place(self) -> str:
        return f"{self.service}.log line {self.number}"

    def __str__(self) -> str:
        return f"{self.time[11:]} {self.service} {self.level.lower()}: {shorten(self.text, 140)}"


@dataclass(frozen=True)
class Known:
    """A cause that is known: how its line looks, what it means, what to do about it."""

    pattern: str
    meaning: str
    remedy: str


@dataclass(frozen=True)
class Cause:
    """The first cause of a failure in one sentence, with the line that shows it and what came of it."""

    line: Line
    sentence: str
    remedy: str
    trail: tuple[Line, ...]


# The first line that fits counts, even when it is no error for the service that wrote it.
TELLING = (
    r"Got no allocation candidates",
    r"Filter \S+ returned 0 hosts",
    r"Filtering removed all hosts",
    r"Timeout waiting for .*vif",
)
LOST = (r"Connection event '0'|Connection to libvirt (?:lost|is broken)", r"Connection event '1'")
KNOWN = (
    Known(
        r"Connection event '0'|Connection to libvirt (?:lost|is broken)",
        "nova-compute lost libvirt, so that the scheduler had no host to choose from",
        "When libvirt answers again ('skerry status'), create the server again.",
    ),
    Known(
        r"Got no allocation candidates|returned 0 hosts|No valid host",
        "no host had room for the server",
        "Take a smaller flavor or delete servers: 'skerry openstack hypervisor stats show'. "
        "If there is room, is nova-compute alive?",
    ),
    Known(r"No space left on device", "the disk was full", "Free some disk, then create the server again."),
    Known(r"Cannot allocate memory", "memory was out", "Take a smaller flavor, or delete servers."),
    Known(
        r"InvalidMachineType",
        "the image asks for a machine type that this QEMU does not have",
        "Take the property hw_machine_type away from the image, or set one of those that the log line lists.",
    ),
    Known(
        r"VirtualInterfaceCreateException|Timeout waiting for .*vif",
        "the network was not plugged in time",
        "Is OVN's chassis alive? 'skerry logs ovn-controller', 'skerry logs neutron-api'.",
    ),
    Known(
        r"PortBindingFailed|Binding failed for port",
        "neutron found no way to bind the port on that host",
        "Is OVN's chassis registered and alive? 'skerry openstack network agent list'.",
    ),
    Known(
        r"ImageNotFound|ImageUnacceptable|ImageBadRequest",
        "the image could not be used",
        "Upload the image again.",
    ),
    Known(
        r"AMQP server .* (?:unreachable|closed)|MessagingTimeout",
        "a message was not answered",
        "Is the broker up, and the service that should answer? 'skerry status'.",
    ),
    Known(
        r"Can't connect to MySQL|Lost connection to MySQL|DBConnectionError|Access denied for user",
        "the database did not answer or refused",
        "'skerry logs mariadb'; 'skerry up' sets the accounts' passwords again.",
    ),
    Known(
        r"Unauthorized|The request you have made requires authentication",
        "a service's own account was refused",
        "'skerry up' sets the accounts' passwords again.",
    ),
    Known(
        r"Quota ?Exceeded|OverQuota|Quota exceeded",
        "a quota was used up",
        "Delete something, or raise the quota.",
    ),
    Known(
        r"unsupported configuration|internal error: (?:process exited|qemu)",
        "libvirt or QEMU refused the guest",
        "The line names the part of it; compare the image's properties and the flavor's extra specs.",
    ),
)


def parse(service: str, lines: Iterable[str], first: int = 1) -> list[Line]:
    """The header lines of one log; what belongs to a traceback is recognised by ``exception``."""
    found = []
    for number, text in enumerate(lines, first):
        line = parse_line(service, number, text)
        if line is not None:
            found.append(line)
    return found


def parse_line(service: str, number: int, text: str) -> Line | None:
    """A line as oslo.log writes it, None for anything else (tracebacks, other programs)."""
    head = _LINE.match(text.rstrip("\n"))
    if head is None:
        return None
    rest, ids, instance = head["rest"], (), ""
    context = _CONTEXT.match(rest)
    if context is not None:
        ids, rest = tuple(_REQUEST.findall(context["ids"])), context["text"]
    guest = _INSTANCE.match(rest)
    if guest is not None:
        instance, rest = guest["id"], guest["text"]
    place = (service, number, head["time"], head["level"], head["logger"])
    return Line(*place, ids, instance, rest, context is not None)


def follow(request: str, logs: Mapping[str, Sequence[str]], instance: str = "") -> list[Line]:
    """All header lines of one request in time order, whichever services they are from.

    ``instance`` adds warnings and errors about this server that carry no request of their own, once the
    request has started.
    """
    every = [line for service, lines in logs.items() for line in parse(service, lines)]
    wanted = {request}
    for line in every:
        # what another service did for this request, under an id of its own
        if len(line.ids) == 2 and line.ids[0] == request:
            wanted.add(line.ids[1])
    mine = [line for line in every if wanted & set(line.ids)]
    if not mine:
        return []
    started = min(line.time for line in mine)
    told = {(line.service, line.number) for line in mine}
    mine += [
        line
        for line in every
        if instance
        and line.instance == instance
        and not line.ids
        and line.level in ("WARNING", *FAILED)
        and line.time >= started
        and (line.service, line.number) not in told
    ]
    return sorted(mine, key=lambda line: (line.time, line.service, line.number))


def first_cause(request: str, logs: Mapping[str, Sequence[str]], instance: str = "") -> Cause | None:
    """The first thing that went wrong in a request; None when the logs know nothing of it."""
    lines = [line for line in follow(request, logs, instance) if line.context]
    failed = [n for n, line in enumerate(lines) if line.level in FAILED]
    telling = [n for n, line in enumerate(lines) if any(re.search(p, line.text) for p in TELLING)]
    worrying = [n for n, line in enumerate(lines) if line.level == "WARNING" and _EXCEPTION.search(line.text)]
    candidates = failed[:1] + telling[:1] or worrying[:1]
    if not candidates:
        return None
    at = min(candidates)
    cause = lines[at]
    trail = [line for n, line in enumerate(lines) if n in (*failed, *telling)]
    if any(re.search(pattern, cause.text) for pattern in TELLING[:3]):
        asked = _asked(lines[: at + 1])
        lost = host_lost(logs.get("nova-compute", ()), cause.time)
        if lost is not None:
            cause = lost
        elif asked:
            cause = replace(cause, text=f"{shorten(cause.text, 44)} (asked for: {asked})")
    return _named(cause, tuple(trail), logs)


def _named(cause: Line, trail: tuple[Line, ...], logs: Mapping[str, Sequence[str]]) -> Cause:
    said = shorten(exception(cause, logs.get(cause.service, ())) or cause.text, 160)
    known = next((k for k in KNOWN if re.search(k.pattern, f"{cause.text} {said}")), None)
    meaning = f"{known.meaning}: " if known else ""
    sentence = f"{meaning}{cause.service} said at {cause.time[11:19]}: {said} ({cause.place})"
    later = tuple(line for line in trail if line.place != cause.place)
    remedy = known.remedy if known else f"Read on there: 'skerry logs {cause.service}'."
    return Cause(cause, sentence, remedy, later)


def host_lost(lines: Sequence[str], before: str) -> Line | None:
    """The line with which nova-compute lost libvirt, when it was not back by ``before`` (a line's time)."""
    gone: Line | None = None
    for line in parse("nova-compute", lines):
        if line.time > before:
            break
        if re.search(LOST[0], line.text):
            gone = line
        elif re.search(LOST[1], line.text):
            gone = None
    return gone


def exception(line: Line, lines: Sequence[str]) -> str | None:
    """The last line of the traceback that follows ``line`` in its log: ``Class: what``; None without one.

    The traceback's lines have the header's time and logger, and no request.
    """
    begin = f"{line.time} "
    found = None
    for text in lines[line.number : line.number + 200]:
        if not text.startswith(begin):
            if _LINE.match(text):
                break
            continue
        parsed = parse_line(line.service, 0, text)
        if parsed is None or parsed.context or parsed.logger != line.logger:
            break
        match = _EXCEPTION.match(parsed.text)
        if match:
            found = parsed.text
    return found


def _asked(lines: Iterable[Line]) -> str:
    """What placement was asked for, from the last such request among ``lines``."""
    asked = ""
    for line in lines:
        match = re.search(r'"GET (/allocation_candidates\?\S+)"', line.text)
        if match:
            asked = dict(parse_qsl(urlsplit(match[1]).query)).get("resources", "")
    return asked.replace(":", " ").replace(",", ", ")


def shorten(text: str, width: int = 220) -> str:
    """One line of at most ``width`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
