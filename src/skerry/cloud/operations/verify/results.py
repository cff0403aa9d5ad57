"""What a suite of tests found, taken from its output line by line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skerry.common import log
from skerry.common.errors import VerificationError

Show = Callable[[str], None]

# What stestr prints: "{1} tempest.api.compute...test_name [1.234567s] ... ok"; what is skipped may have no time.
TIMED = re.compile(
    r"^(?:\{\d+\} |(?=(?:setUp|tearDown)Class ))(?P<test>.+?) \[(?P<seconds>[\d.]+)s\] \.\.\. "
    r"(?P<result>ok|FAILED|SKIPPED.*)$"
)
UNTIMED = re.compile(r"^\{\d+\} (?P<test>\S+)(?P<seconds>) \.\.\. (?P<result>SKIPPED.*)$")

# Seconds that upstream's tests wait for a server to be there, to answer a ping, to let it in. Their clocks do not slow down
# with a busy machine, as Skerry's own does: so this is what such a machine needs.
PATIENCE = 480


@dataclass
class SuiteResults:
    """What the tests of a suite found. ``folder`` keeps what explains it: results.txt, and the suite's own files."""

    suite: str
    folder: str
    passed: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        """For people: a line of figures, and one for each failure."""
        lines = [
            f"{self.suite}: {self.passed} passed, {self.skipped} skipped, {len(self.failed)} failed; see {self.folder}."
        ]
        return "\n".join([*lines, *(f"  failed: {name}" for name in self.failed)])

    def take(self, line: str, show: Show) -> bool:
        """Count the result of a line of stestr's, if it has one."""
        found = TIMED.match(line) or UNTIMED.match(line)
        if not found:
            return False
        test, result = found["test"].split("[")[0], found["result"]
        if result == "ok":
            self.passed += 1
        elif result == "FAILED":
            self.failed.append(test)
        else:
            self.skipped += 1
        show(f"{result.split(':')[0]:8} {float(found['seconds'] or 0):6.1f} s  {test}")
        return True

    def check(self, what: str, fault: str | None, show: Show) -> None:
        """Count one check of Skerry's own: passed when there is no fault."""
        if fault is None:
            self.passed += 1
        else:
            self.failed.append(f"{what}: {fault}")
        show(f"{'FAILED' if fault else 'ok':8} {what}{f': {fault}' if fault else ''}")


def demand(all_results: Sequence[SuiteResults]) -> None:
    """Raise VerificationError when tests failed, or when a suite ran none."""
    for results in all_results:
        if results.failed or not results.passed:
            names = ", ".join(results.failed[:3])
            raise VerificationError(
                f"{len(results.failed)} tests of {results.suite} failed: {names}"
                if names
                else f"{results.suite} ran no test",
                remedy=f"Why, is in {results.folder}/results.txt; then 'skerry doctor'.",
            )


def follow(
    argv: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    take: Callable[[str], object],
    show: Show,
) -> int:
    """Run a suite in ``folder``, keep what it prints in results.txt there, and hand each line on; its exit code."""
    with (folder / "results.txt").open("a") as kept, log.command(argv) as running:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1"},  # each result when it is there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
        )
        try:
            for line in process.stdout or ():
                kept.write(line)
                take(line.rstrip("\n"))
        except KeyboardInterrupt:
            show("Interrupted: the tests that run remove what they have made; that may take a minute.")
            raise
        finally:
            process.terminate()
            process.wait()
        running.ended(process.returncode)
    return process.returncode
