"""Clients that people use, against this cloud: each as a member of a project that is made for it, and cleaned up after."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.operations.verify import ansible, libcloud, load, sdk
from skerry.cloud.operations.verify.accounts import Member, members, remove
from skerry.cloud.operations.verify.environment import client_environment
from skerry.cloud.operations.verify.inventory import inventory, left_behind
from skerry.cloud.operations.verify.results import Show, SuiteResults
from skerry.common.errors import RefusedError

SUITES = ("openstacksdk", "ansible", "libcloud", "load")


@dataclass
class ClientsReport:
    """What each suite found, in the order in which they ran."""

    suites: list[SuiteResults] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        return "\n".join(results.render() for results in self.suites)


def verify_clients(
    root: Path | str,
    show: Show,
    *,
    suites: Sequence[str] = (),
    regex: str | None = None,
    servers: int = 20,
) -> ClientsReport:
    """Run the suites (all without names) and report each result to ``show``. What they leave behind is a failure, too.

    ``regex`` is for openstacksdk's tests, ``servers`` for the load. Raises NotFoundError, CloudDownError,
    RefusedError (not on the host that leads) and PackageError before any.
    """
    ctx = Context.existing(root)
    if not ctx.leads:
        raise RefusedError(
            f"This host is a part of the cloud of {ctx.cloud.leader.name}.", remedy="Run it on that host."
        )
    ctx.demand_up()
    environment = Path()
    if not suites or set(suites) & {"ansible", "libcloud"}:
        show("These clients have an environment of their own, which is installed if it is not there yet.")
        environment = client_environment(ctx.layout)
    report = ClientsReport()
    for name in [name for name in SUITES if name in (suites or SUITES)]:
        folder = ctx.layout.state / "clients" / name
        shutil.rmtree(folder, ignore_errors=True)
        ctx.platform.make_folder(folder, mode=0o700)
        runs: dict[str, Callable[[list[Member]], SuiteResults]] = {
            "openstacksdk": partial(sdk.run, ctx, folder, show, regex=regex),
            "ansible": partial(ansible.run, ctx, environment, folder, show),
            "libcloud": partial(libcloud.run, ctx, environment, folder, show),
            "load": partial(load.run, ctx, folder, show, servers=servers),
        }
        show(f"{name}:")
        report.suites.append(_judged(ctx, runs[name], show))
    return report


def _judged(ctx: Context, run: Callable[[list[Member]], SuiteResults], show: Show) -> SuiteResults:
    """The results of a suite, with a last check that all it made is gone."""
    remove(ctx)  # of a run that was killed
    before, started = inventory(ctx), time.monotonic()
    with members(ctx) as users:
        results = run(users)
    if not (results.passed or results.failed):
        results.check("the tests", "none ran; is there one whose name matches?", show)
    left = left_behind(ctx, before)
    results.check("nothing is left behind", ", ".join(left) or None, show)
    show(f"{results.suite}: {time.monotonic() - started:.0f} s")
    return results
