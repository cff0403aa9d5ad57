"""What another host is given, and what not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.samples.three_hosts import at

from skerry.cli.failure import as_json
from skerry.cloud.components import registry
from skerry.cloud.hosts.join import Joined, told_cause
from skerry.common.errors import NotFoundError


def test_a_host_gets_no_secret_that_it_does_not_need(tmp_path: Path) -> None:
    ctx = at(tmp_path)
    ctx.secrets.save()
    host = next(host for host in ctx.cloud.others if host.name == "two")
    text = Joined(ctx, host).files()[Path("/etc/skerry/secrets.json")][0]
    known = {"rabbitmq", "metadata-proxy", "service-nova", "service-neutron"}
    assert set(json.loads(text)) == known
    for name in set(registry.secrets()) - known:
        assert ctx.secrets[name] not in text
    joined = at(tmp_path / "two", "two")
    for component in registry.present(joined):
        component.every_file()  # would raise for a secret that is not there


def test_the_cause_of_a_failure_there_is_a_sentence() -> None:
    error = as_json(NotFoundError("There is no cloud.", remedy="Run 'skerry up'."))
    assert told_cause(f"  looking at it\n{error}\n") == "There is no cloud. Run 'skerry up'."
    assert told_cause("skerry: There is no lock\nskerry: for Python 3.9.\n").endswith("for Python 3.9.")
    assert told_cause("[]") == "[]" and told_cause("") == "it printed nothing"
