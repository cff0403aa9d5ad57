"""pytest plugin: a test that failed and passed when it was repeated is reported by name, on the screen and in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("skerry").addoption(
        "--flaky-file",
        metavar="PATH",
        help="write the flaky tests of this run there, as a JSON list of their ids",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Flaky())


class Flaky:
    """Takes note of what is repeated and of what fails in the end."""

    def __init__(self) -> None:
        self.repeated: dict[str, None] = {}  # an ordered set
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # pytest-rerunfailures has added it
            self.repeated[report.nodeid] = None
        elif report.failed:
            self.failed.add(report.nodeid)

    # After the tracebacks, and before the summary that ends with the list of what failed.
    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        flaky = [name for name in self.repeated if name not in self.failed]
        path = config.getoption("flaky_file")
        if path:
            Path(path).write_text(json.dumps(flaky, indent=1) + "\n")
        if flaky:
            terminalreporter.section("flaky: failed, and passed when repeated")
            for name in flaky:
                terminalreporter.write_line(f"flaky: {name}")
