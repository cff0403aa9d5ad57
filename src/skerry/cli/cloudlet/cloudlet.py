"""cloudlets: prepared VMs as small overlays on a base, and running VMs out of both within seconds"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skerry.cli.cloudlet import peers
from skerry.common.errors import EXIT_CODES, NotFoundError, SkerryError

# The engine stands on numpy and others, which only its own verb should wait for.


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="where bases, overlays and sessions are kept"
    )
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    _base_arguments(parts.add_parser("base", help="base VMs"))
    _overlay_arguments(parts.add_parser("overlay", help="overlays: what an application adds to a base"))
    synthesize = parts.add_parser("synthesize", help="run a VM out of an overlay")
    synthesize.add_argument(
        "source", metavar="URL|FILE|NAME", help="an http or https address, a file, an overlay here"
    )
    synthesize.add_argument("--name", help="of the session (default: the overlay's, made unique)")
    synthesize.add_argument(
        "--early", action="store_true", help="run at once, and fetch pages when they are touched"
    )
    synthesize.add_argument(
        "--port", type=int, action="append", default=[], metavar="PORT",
        help="a TCP port of the guest to be reached on this host's loopback; can be repeated",
    )  # fmt: skip
    synthesize.add_argument(
        "--outbound", action="store_true", help="let the guest reach other hosts, and this one's loopback"
    )
    synthesize.add_argument(
        "--no-agent", action="store_true", help="the guest has no agent: leave clock and card alone"
    )
    synthesize.add_argument(
        "--most-mb", type=int, default=65536, metavar="MB", help="refuse a larger overlay"
    )
    resume = parts.add_parser("resume", help="run a VM out of a base alone")
    resume.add_argument("base", help="a base, by name or id")
    resume.add_argument("--name", help="of the session")
    resume.add_argument(
        "--port", type=int, action="append", default=[], metavar="PORT", help="as for synthesize"
    )
    resume.add_argument("--outbound", action="store_true", help="as for synthesize")
    resume.add_argument("--no-agent", action="store_true", help="as for synthesize")
    run_in = parts.add_parser("run", help="run a shell script in a session, by the guest's agent")
    run_in.add_argument("session", help="a session")
    run_in.add_argument("script", metavar="FILE", help="the script, or - for the standard input")
    sessions = parts.add_parser("sessions", help="VMs that run")
    stop = parts.add_parser("stop", help="end a session and remove what it wrote")
    stop.add_argument("session", help="a session")
    peers.arguments(parts)
    trust = parts.add_parser("trust", help="believe overlays that are signed with this public key")
    trust.add_argument(
        "key", metavar="KEYFILE", help="a file with 64 hexadecimal digits; none: print one's own", nargs="?"
    )
    for part in (synthesize, resume, sessions, trust):
        _json(part)


def _base_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb_of", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="boot an image, and keep it at the moment when it is ready")
    create.add_argument("name", help="of the new base")
    create.add_argument(
        "--image", type=Path, metavar="FILE", help="raw or qcow2; without it a small Debian is built (root)"
    )
    sign = "what the image writes to its first serial port when it is ready (default: login:)"
    create.add_argument("--ready", metavar="TEXT", default="login:", help=sign)
    create.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="how long that may take"
    )
    create.add_argument("--memory", type=int, default=1024, metavar="MIB", help="the guest's memory")
    create.add_argument("--cpus", type=int, default=1, metavar="COUNT", help="its processors")
    create.add_argument(
        "--cpu", default="Nehalem", metavar="MODEL", help="their model: a named one, that all hosts have"
    )
    create.add_argument(
        "--machine", default="pc-q35-7.2", metavar="TYPE", help="machine type with its version"
    )
    bring = verbs.add_parser(
        "import", help="take a base out of a file; a zip of elijah-provisioning is booted anew"
    )
    bring.add_argument("file", type=Path, help="what 'export' wrote, or a zip of elijah-provisioning")
    bring.add_argument("--name", help="of the new base (needed for a zip)")
    bring.add_argument("--ready", metavar="TEXT", default="login:", help="for a zip, as for create")
    bring.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help="for a zip, as for create"
    )
    bring.add_argument("--memory", type=int, default=1024, metavar="MIB", help="for a zip, as for create")
    out = verbs.add_parser("export", help="write a base to a file")
    out.add_argument("base", help="a base, by name or id")
    out.add_argument("file", type=Path, help="to be written")
    listed = verbs.add_parser("list", help="bases that are here")
    show = verbs.add_parser("show", help="one base")
    verify = verbs.add_parser("verify", help="read all of a base and compare with its hashes")
    remove = verbs.add_parser("remove", help="remove a base that no overlay here and no session needs")
    for part in (show, verify, remove):
        part.add_argument("base", help="a base, by name or id")
    for part in (create, bring, listed, show):
        _json(part)


def _overlay_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb_of", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="change a copy of a base, and keep the change")
    create.add_argument("below", metavar="BASE|OVERLAY", help="what to change, by name or id")
    create.add_argument("name", help="of the new overlay")
    create.add_argument(
        "--run",
        dest="script",
        type=Path,
        required=True,
        metavar="FILE",
        help="a shell script, run in the guest as root",
    )
    seen = "what the guest sees as /dev/vdb meanwhile, for instance a tar archive"
    create.add_argument("--files", type=Path, metavar="FILE", help=seen)
    first = "a shell script that uses the new server once: what it touches is fetched first"
    create.add_argument("--warm", type=Path, metavar="FILE", help=first)
    create.add_argument("--outbound", action="store_true", help="let the guest reach other hosts meanwhile")
    create.add_argument("--level", type=int, default=9, metavar="1-19", help="of compression")
    keep = verbs.add_parser("keep", help="keep what has changed in a session (its residue); it runs on")
    keep.add_argument("session", help="a session")
    keep.add_argument("name", help="of the new overlay")
    info = verbs.add_parser("info", help="one overlay: of this store, or a file")
    info.add_argument("overlay", help="an overlay, by name or id, or a file")
    listed = verbs.add_parser("list", help="overlays that are here")
    remove = verbs.add_parser("remove", help="remove an overlay")
    bring = verbs.add_parser("import", help="take an overlay out of a file; its base must be here")
    bring.add_argument("file", type=Path, help="what 'export' wrote")
    bring.add_argument("--most-mb", type=int, default=65536, metavar="MB", help="refuse a larger overlay")
    out = verbs.add_parser("export", help="write an overlay to a file, to be served or carried")
    for part in (remove, out):
        part.add_argument("overlay", help="an overlay, by name or id")
    out.add_argument("file", type=Path, help="to be written")
    for part in (create, keep, info, listed, bring):
        _json(part)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    from skerry.cloudlet.overlay.store import Store
    from skerry.cloudlet.session.synthesis import sweep_mounts

    store = Store((args.store or _default_store(args.root)).absolute())
    sweep_mounts(store)
    store.sweep()
    _recover(store)
    verbs: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
        "base": _base,
        "overlay": _overlay,
        "synthesize": _synthesize,
        "resume": _resume,
        "run": _run,
        "sessions": _sessions,
        "stop": _stop,
        "trust": _trust,
        **peers.VERBS,
    }
    result = verbs[args.part](store, args)
    if result is not None:
        print(json.dumps(result, indent=2) if getattr(args, "json", False) else _table(result))
    return 0


def _default_store(root: str) -> Path:
    if os.geteuid() == 0 or root != "/":
        return Path(root) / "var/lib/skerry/cloudlet"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "skerry/cloudlet"


def _table(result: Any) -> str:
    rows = result if isinstance(result, list) else [result]
    if not rows:
        return "There are none."
    if not isinstance(result, list):
        wide = max(map(len, result))
        return "\n".join(f"{name:{wide}}  {value}" for name, value in result.items())
    heads = list(rows[0])
    cells = [heads, *([str(row[head])[:40] for head in heads] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


# -- bases and overlays ---------------------------------------------------------------------------------


def _base(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.overlay import elijah, portable
    from skerry.cloudlet.overlay.machine import Machine
    from skerry.cloudlet.vm import create
    from skerry.common.errors import UsageError

    verb = args.verb_of
    if verb == "list":
        return [_about(base) for base in store.bases()]
    if verb in ("create", "import"):
        if verb == "import" and not args.file.is_file():
            raise NotFoundError(f"There is no file {args.file}.")
        if verb == "import" and not elijah.is_package(args.file):
            return _about(portable.import_(store, args.file, say, args.name))
        if verb == "import":
            if not args.name:
                raise UsageError("A zip of elijah-provisioning needs a name: --name NAME.")
            with store.work() as folder:
                say("taking the disk out of the zip")
                elijah.extract_disk(args.file, folder / "disk")
                machine = Machine(memory_mib=args.memory)
                return _about(
                    create.from_image(
                        store, args.name, machine, folder / "disk", args.ready, args.timeout, say
                    )
                )
        try:
            machine = Machine(args.machine, args.cpu, args.cpus, args.memory)
        except ValueError as reason:
            raise UsageError(f"There is no such machine: {reason}.") from None
        if args.image:
            made = create.from_image(store, args.name, machine, args.image, args.ready, args.timeout, say)
        else:
            made = create.from_recipe(store, args.name, machine, say)
        return _about(made)
    base = store.base(args.base)
    if verb == "show":
        return _about(base)
    if verb == "verify":
        base.verify()
        say("all of it is as its manifest says")
    elif verb == "export":
        portable.export(base, args.file)
    elif verb == "remove":
        _check_unused(store, base)
        store.remove(base.folder)
    return None


def _check_unused(store: Any, base: Any) -> None:
    from skerry.cloudlet.session import session as sessions
    from skerry.common.errors import RefusedError

    users = [f"the overlay '{o.manifest.name}'" for o in store.overlays() if o.manifest.base == base.id]
    users += [f"the session '{s.name}'" for s in sessions.listed(store) if s.base == base.id]
    if users:
        raise RefusedError(
            f"The base '{base.name}' is needed by {', '.join(users)}.", remedy="Remove these first."
        )


def _about(base: Any) -> dict[str, Any]:
    machine = base.machine.to_json()
    disk = base.disk_pages * 4096
    return {
        "name": base.name,
        "id": base.id,
        **machine,
        "disk_mib": disk >> 20,
        "stored_mib": base.size() >> 20,
    }


def _overlay(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.overlay.reader import FileSource, Overlay
    from skerry.cloudlet.session import overlay_maker, residue
    from skerry.cloudlet.session import session as sessions
    from skerry.cloudlet.session.session import Network

    verb = args.verb_of
    if verb == "list":
        return [_about_overlay(overlay.manifest) for overlay in store.overlays()]
    if verb == "create":
        network = Network(outbound=True) if args.outbound else None
        warm = args.warm.read_text() if args.warm else ""
        made = overlay_maker.create(
            store, args.below, args.name, args.script.read_text(), files=args.files, warm=warm, network=network,
            level=args.level, say=say,
        )  # fmt: skip
        return _about_created(made)
    if verb == "keep":
        session, vm = sessions.find(store, args.session)
        made = residue.keep(store, session, vm, args.name, say)
        return _about_created(made)
    if verb == "info":
        path = Path(args.overlay) if Path(args.overlay).is_file() else store.overlay_path(args.overlay)
        return _about_overlay(Overlay(FileSource(path), None).manifest)
    if verb == "import":
        if not args.file.is_file():
            raise NotFoundError(f"There is no file {args.file}.")
        return _about_overlay(overlay_maker.import_(store, args.file, most=args.most_mb << 20, say=say))
    if verb == "export":
        overlay_maker.export(store, args.overlay, args.file)
    elif verb == "remove":
        store.remove(store.overlay_path(args.overlay))
    return None


def _about_created(made: Any) -> dict[str, Any]:
    cost = {"pages": made.pages, "seconds": round(made.seconds, 2), "pause": round(made.pause, 4)}
    return {**_about_overlay(made.manifest), **cost}


def _about_overlay(manifest: Any) -> dict[str, Any]:
    from skerry.cloudlet.overlay.keys import fingerprint

    return {
        "name": manifest.name,
        "id": manifest.id,
        "base": manifest.base,
        "parents": list(manifest.parents),
        "bytes": manifest.size,
        "signer": fingerprint(bytes.fromhex(manifest.signer)),
        "created": manifest.created,
    }


# -- sessions -------------------------------------------------------------------------------------------


def _synthesize(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.session.session import Network
    from skerry.cloudlet.session.synthesis import source_of, synthesize

    network = Network(tuple(args.port), args.outbound)
    name = args.name or f"vm-{os.getpid()}-{int(time.time()) % 100000}"

    def work() -> Any:
        begun = time.monotonic()
        source = source_of(args.source, store)
        running = synthesize(
            store,
            source,
            name,
            network,
            early=args.early,
            prepare=not args.no_agent,
            most=args.most_mb << 20,
            say=say,
        )
        return running, {**asdict(running.session), "seconds": round(time.monotonic() - begun, 3)}

    return _served(work) if args.early else work()[1]


def _served(work: Callable[[], Any]) -> Any:
    """Do the work in a process that lives as long as the VM does, and return what it says of it."""
    with tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            _serve(work, report)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.kill(child, signal.SIGCONT)
        report.seek(0)
        said = json.loads(report.read() or '{"error": ["it ended without a word", "", 1]}')
    if "error" in said:
        words, remedy, code = said["error"]
        error = SkerryError(words, remedy=remedy)
        error.exit_code = code
        raise error
    return said


def _serve(work: Callable[[], Any], report: Any) -> None:
    """The other process: reports, stops itself for a moment as the sign that it did, and serves."""
    os.setsid()
    code = 0
    try:
        running, said = work()
        report.write(json.dumps(said))
        report.flush()
        quiet = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(quiet, standard)
        os.kill(os.getpid(), signal.SIGSTOP)
        running.serve()
    except SkerryError as error:
        report.write(json.dumps({"error": [str(error), error.remedy, error.exit_code]}))
        report.flush()
        code = error.exit_code
    except BaseException as error:
        report.write(json.dumps({"error": [f"{type(error).__name__}: {error}", EXIT_CODES[1], 1]}))
        report.flush()
        code = 1
    finally:
        os._exit(code)


def _resume(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.session import session as sessions

    base = store.base(args.base)
    network = sessions.Network(tuple(args.port), args.outbound)
    name = args.name or f"vm-{os.getpid()}-{int(time.time()) % 100000}"
    session, _ = sessions.run_base(store, base, name, network, prepare=not args.no_agent)
    return asdict(session)


def _recover(store: Any) -> None:
    """What killed handoffs have left, on either side."""
    if any((store.root / "sessions").iterdir()):
        from skerry.cloudlet.handoff import destination, recovery

        destination.sweep(store)
        recovery.recover_all(store)


def _run(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.session import session as sessions

    _, vm = sessions.find(store, args.session)
    script = sys.stdin.read() if args.script == "-" else Path(args.script).read_text()
    agent = vm.agent()
    print(agent.run(script), end="")
    agent.close()


def _sessions(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.session import session as sessions

    return [
        {key: value for key, value in asdict(each).items() if key not in ("owner", "created")}
        for each in sessions.listed(store)
    ]


def _stop(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.session import session as sessions

    sessions.stop(store, args.session)


def _trust(store: Any, args: argparse.Namespace) -> Any:
    if not args.key:
        return {"own": store.keys.public().hex()}
    return {"trusted": store.keys.trust(Path(args.key).read_text())}
