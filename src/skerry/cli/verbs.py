"""The verbs of the command line: names, modules and one line of help each. Nothing else knows them all."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb, or a group of verbs.

    ``module`` is its module below ``skerry.cli``: with ``arguments(parser)`` and ``run(args)``, or for a group
    its package, whose ``arguments``, if there are, come before the verb. ``passes``: the words after the verb
    belong to another program. ``root``: only root may run it. ``cloud``: it works on a cloud that is there.
    """

    name: str
    help: str
    module: str
    parts: tuple[Verb, ...] = ()
    passes: bool = False
    root: bool = False
    cloud: bool = False


LAB = (
    Verb("up", "make a lab, or make it match its file again", "lab.up", root=True),
    Verb("status", "show the labs, or one: hosts, switches, cables, faults", "lab.status", root=True),
    Verb("exec", "run a command on a host; ends with its exit status", "lab.exec", root=True),
    Verb("shell", "open a shell on a host", "lab.shell", root=True),
    Verb("down", "remove a lab: processes, interfaces, folders", "lab.down", root=True),
    Verb("fault", "break something on purpose, for a time", "lab.fault", root=True),
)

CLOUDLET = (
    Verb("base", "manage base VMs", "cloudlet.base"),
    Verb("overlay", "manage overlays: what an application adds to a base", "cloudlet.overlay"),
    Verb("synthesize", "run a VM from an overlay", "cloudlet.synthesize"),
    Verb("resume", "run a VM from a base alone", "cloudlet.resume"),
    Verb("run", "run a shell script in a session, by the guest's agent", "cloudlet.run"),
    Verb("sessions", "list the VMs that run", "cloudlet.sessions"),
    Verb("stop", "end a session and remove what it wrote", "cloudlet.stop"),
    Verb("handoff", "move a running VM to another engine, while it runs", "cloudlet.handoff"),
    Verb("serve", "accept VMs from paired engines, until it is ended", "cloudlet.serve"),
    Verb("directory", "keep a list of the cloudlets that are there, until it is ended", "cloudlet.directory"),
    Verb("discover", "list cloudlets, the one where a VM would run soonest first", "cloudlet.discover"),
    Verb("pair", "trust the engine with this certificate; without one: print one's own", "cloudlet.pair"),
    Verb("trust", "trust overlays that are signed with this public key", "cloudlet.trust"),
)

MIGRATION = (
    Verb(
        "run",
        "measure migrations: of one server, or a whole evaluation",
        "migration.run",
        root=True,
        cloud=True,
    ),
    Verb("report", "make the report of an evaluation again from its raw data", "migration.report"),
)

VERBS = (
    Verb("up", "bring the cloud up, or make it match cloud.toml again", "cloud.up", root=True),
    Verb("plan", "show exactly what 'up' would change; nothing is done", "cloud.plan"),
    Verb("status", "show services, readiness, memory and endpoints", "cloud.status", root=True, cloud=True),
    Verb(
        "down",
        "stop the cloud; everything comes back with its data at the next 'up'",
        "cloud.down",
        root=True,
        cloud=True,
    ),
    Verb(
        "destroy",
        "remove the cloud with all its data, and what was installed for it",
        "cloud.destroy",
        root=True,
        cloud=True,
    ),
    Verb(
        "restart",
        "restart services, and wait until they are ready",
        "cloud.restart",
        root=True,
        cloud=True,
    ),
    Verb("logs", "show the log of a service", "cloud.logs", root=True, cloud=True),
    Verb(
        "openstack",
        "run the OpenStack client on this cloud, as its administrator or as a person",
        "cloud.openstack",
        passes=True,
        root=True,
        cloud=True,
    ),
    Verb(
        "user",
        "give people accounts to use the cloud with, list them, remove them",
        "cloud.user",
        root=True,
        cloud=True,
    ),
    Verb(
        "verify",
        "run upstream's own smoke tests (tempest), or clients that people use, against this cloud",
        "cloud.verify",
        root=True,
        cloud=True,
    ),
    Verb("ssh", "log in to the first server", "cloud.ssh", root=True, cloud=True),
    Verb(
        "doctor",
        "find what is wrong with the cloud, across its services, and how to fix it",
        "cloud.doctor",
        root=True,
        cloud=True,
    ),
    Verb("config", "explain an option of the cloud or of its services, or check all of them", "cloud.config"),
    Verb(
        "secrets",
        "show, list or rotate the passwords and keys of the cloud",
        "cloud.secrets",
        root=True,
        cloud=True,
    ),
    Verb(
        "upkeep",
        "do what is due so that the cloud lasts: keys, deleted rows, logs; a service does it daily",
        "cloud.upkeep.upkeep",
        root=True,
        cloud=True,
    ),
    Verb(
        "backup",
        "back the control plane up into one encrypted file, while it runs",
        "cloud.backups.backup",
        root=True,
        cloud=True,
    ),
    Verb("restore", "bring the cloud of a backup up on a bare machine", "cloud.backups.restore", root=True),
    Verb("image", "build guest images, upload them, list them", "cloud.image"),
    Verb(
        "lab",
        "make and use a lab: several hosts, switches and cables on this machine, as namespaces",
        "lab",
        LAB,
    ),
    Verb(
        "cloudlet",
        "cloudlets: prepared VMs as small overlays on a base, and running VMs from both within seconds",
        "cloudlet",
        CLOUDLET,
    ),
    Verb(
        "migration",
        "move running servers between hosts and measure what their users see of it",
        "migration",
        MIGRATION,
    ),
    Verb("completion", "print what a shell needs to complete skerry's commands", "completion"),
    Verb(
        "test",
        "run the tests: all, or 'unit', 'functional', 'cloud', or paths; never touches a cloud that is up",
        "develop.test",
        passes=True,
    ),
    Verb("bench", "run a benchmark: its figures beside its peer's", "develop.bench"),
)
