"""What another host is given, and what not."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.samples.three_hosts import at

from skerry.cli.failure import as_json
from skerry.cloud.components import registry
from skerry.cloud.hosts.join import Joined, told_cause
from skerry.cloud.steps.certificates import Certificates
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


class There:
    """A host that has these files, and notes what it is asked to run."""

    def __init__(self, have: dict[str, str]) -> None:
        self.have = have
        self.ran: list[list[str]] = []

    def run(self, argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.ran.append(argv)
        sums = "".join(f"{hashlib.sha256(t.encode()).hexdigest()}  {p}\n" for p, t in self.have.items())
        return subprocess.CompletedProcess(argv, 0, sums if argv[0] == "sha256sum" else "", "")

    def write(self, path: Path, text: str, **options: Any) -> None:
        self.have[str(path)] = text


def test_new_certificates_are_brought_alone_and_used(tmp_path: Path) -> None:
    """What an operator has changed in cloud.toml since is not applied with them."""
    ctx = at(tmp_path)
    ctx.secrets.save()
    step = Certificates(ctx)
    step.apply(print)
    joined = Joined(ctx, next(host for host in ctx.cloud.others if host.name == "two"))
    files = {str(path): text for path, (text, _) in joined.files().items()}
    there = There({**files, "/etc/skerry/cloud.toml": "of before"})
    joined.there = there  # type: ignore[assignment]
    assert not joined.renew() and all(argv[0] == "sha256sum" for argv in there.ran)
    there.have["/etc/skerry/tls/host.pem"] = "an old one"
    assert joined.renew()
    assert there.have == {**files, "/etc/skerry/cloud.toml": "of before"}
    assert there.ran[-1] == ["/var/lib/skerry/tree/skerry", "up", "--no-packages"]
