"""A play of Ansible's collection for OpenStack: each of its runs is repeated, and the second one changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.operations.verify.accounts import MEMBER, Member, clouds_yaml
from skerry.cloud.operations.verify.results import Show, SuiteResults, follow

PROGRAMS = Path(__file__).with_name("programs")
PLAYS = ("present", "absent")
RECAP = re.compile(r"localhost +: ok=(?P<ok>\d+) +changed=(?P<changed>\d+) +unreachable=0 +failed=0 ")


def run(ctx: Context, environment: Path, folder: Path, show: Show, users: list[Member]) -> SuiteResults:
    """A network, a router, a keypair, a group and a server with a floating address: made, looked at, and removed."""
    results = SuiteResults("ansible", str(folder))
    ctx.platform.write(folder / "clouds.yaml", clouds_yaml(ctx, users), mode=0o600)
    settings = {
        "PATH": f"{environment}/bin:{ctx.platform.path}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ANSIBLE_HOME": str(folder),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
        "OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"),
        "OS_CLOUD": MEMBER,
    }
    python = f"ansible_python_interpreter={environment}/bin/python"
    for play in PLAYS:
        for again in (False, True):
            lines: list[str] = []
            argv = ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", python]
            follow(
                [f"{environment}/bin/{argv[0]}", *argv[1:], str(PROGRAMS / f"{play}.yaml")],
                folder,
                settings,
                lines.append,
                show,
            )
            what = f"{play}.yaml, {'again: nothing changes' if again else 'all changes'}"
            results.check(what, fault(lines, changes=not again), show)
    return results


def fault(lines: list[str], *, changes: bool) -> str | None:
    """What is wrong with a run of a play, by what it printed: None when it did all, and changed something or nothing."""
    found = next((match for line in lines if (match := RECAP.match(line))), None)
    if found is None:
        failed = [line for line in lines if line.startswith(("fatal:", "ERROR", "[ERROR]"))]
        return failed[0][:500] if failed else "it did not come to its end"
    if (int(found["changed"]) > 0) is not changes:
        return f"{found['changed']} of {found['ok']} tasks changed something"
    return None
