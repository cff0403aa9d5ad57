"""What a verb imports: its own module, and what that needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT

from skerry.cli.parser import parser
from skerry.cli.verbs import VERBS, Verb

CODE = """
import json, sys
sys.argv = ["skerry", *sys.argv[1:]]
from skerry.cli.main import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code or 0, sorted(sys.modules)]), file=sys.stderr)
"""
CLOUD = {
    "openstack",
    "keystoneauth1",
    "asyncssh",
    "rich",
    "pymysql",
    "supervisor",
    "yaml",
    "cryptography",
    "asyncio",
}
FOR_NO_HELP = CLOUD | {"pydantic", "psutil", "shtab", "numpy", "logging", "subprocess", "traceback"}


def imported(*words: str, code: int = 0) -> set[str]:
    """The modules that a run of the command line has imported."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src")}
    argv = [sys.executable, "-c", CODE, *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    ended, modules = json.loads(done.stderr.splitlines()[-1])
    assert ended == code, done.stderr
    return set(modules)


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith("skerry.")}


def test_help_imports_no_verb() -> None:
    modules = imported("--help")
    allowed = {"main", "parser", "verbs"}
    assert ours(modules) == {
        "skerry.cli",
        "skerry.common",
        "skerry.common.errors",
        *(f"skerry.cli.{n}" for n in allowed),
    }
    assert modules & FOR_NO_HELP == set()


def test_the_help_of_a_group_imports_none_of_its_verbs() -> None:
    modules = imported("cloudlet", "--help")
    assert {name for name in ours(modules) if name.startswith("skerry.cli.cloudlet")} == {
        "skerry.cli.cloudlet"
    }
    assert modules & FOR_NO_HELP == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="labs are for root")
def test_status_of_labs_imports_nothing_of_a_cloud(tmp_path: Path) -> None:
    modules = imported("--root", str(tmp_path), "lab", "status")
    assert modules & CLOUD == set()
    assert modules & {"shtab", "numpy"} == set()
    assert not {name for name in ours(modules) if name.startswith(("skerry.cloud", "skerry.migration"))}
    assert {name for name in ours(modules) if name.startswith("skerry.cli.lab.")} == {"skerry.cli.lab.status"}


def every(verbs: tuple[Verb, ...]) -> list[Verb]:
    return [each for verb in verbs for each in (verb, *every(verb.parts))]


def test_the_table_names_every_module_once_and_no_other() -> None:
    named = [verb.module for verb in every(VERBS)]
    assert len(named) == len(set(named))
    folder = CHECKOUT / "src/skerry/cli"
    have = {".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*.py")}
    have = {name.removesuffix(".__init__") for name in have}
    not_verbs = {
        "__init__",
        "main",
        "parser",
        "verbs",
        "failure",
        "situation",
        "values",
        "cloud",
        "cloud.backups",
        "cloud.upkeep",
        "develop",
        *(f"develop.{name}" for name in ("reference", "privileges", "markdown")),
    }
    assert have - set(named) - not_verbs == {"progress", "cloudlet.common"}
    assert set(named) <= have


def test_every_verb_is_understood_with_verbose_before_and_after() -> None:
    top = parser(everything=True)
    assert top.parse_args(["status"]).verbose is False
    for words in (
        ["-v", "status"],
        ["status", "-v"],
        ["--verbose", "config", "validate"],
        ["config", "validate", "-v"],
    ):
        assert parser().parse_args(words).verbose is True
    assert parser().parse_args(["-v", "cloudlet", "base", "list"]).verbose is True
    assert parser().parse_args(["cloudlet", "base", "list", "-v"]).verbose is True
