"""What a member does with Apache Libcloud: ``programs/libcloud_tour.py``, run by the clients' environment."""

from __future__ import annotations

import json
import re
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.operations.verify.accounts import Member
from skerry.cloud.operations.verify.results import Show, SuiteResults, follow

TOUR = Path(__file__).with_name("programs") / "libcloud_tour.py"
STEP = re.compile(r"(?P<result>ok|failed) (?P<what>[^:]+)(?:: (?P<fault>.*))?$")


def run(ctx: Context, environment: Path, folder: Path, show: Show, users: list[Member]) -> SuiteResults:
    """Each step of the tour is one check."""
    results = SuiteResults("libcloud", str(folder))
    login = folder / "login.json"
    ctx.platform.write(login, json.dumps({**users[0].auth, "region": ctx.cloud.region}), mode=0o600)
    settings = {"PATH": ctx.platform.path, "HOME": str(folder), "LANG": "C.UTF-8"}
    argv = [f"{environment}/bin/python", "-I", str(TOUR), str(login)]
    code = follow(argv, folder, settings, lambda line: take(line, results, show), show)
    if code and not results.failed:
        results.check("the tour", f"it ended with exit code {code}", show)
    return results


def take(line: str, results: SuiteResults, show: Show) -> None:
    """Count a step, if the line is one."""
    if found := STEP.match(line):
        fault = found["fault"] or "no reason given" if found["result"] == "failed" else None
        results.check(found["what"], fault, show)
