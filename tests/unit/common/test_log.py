"""The log of commands: what is in it, what never is, and what happens when it cannot be written."""

from __future__ import annotations

import ast
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import CHECKOUT

from skerry.common import log, proc
from skerry.common.errors import CommandError

SECRET = "kJ8s-dW2_qqXz"
# Programs that run outside a verb, and what the reader of a verb's log would not look for.
NOT_OF_A_VERB = {
    "skerry/cli/develop/test.py",
    "skerry/cloud/config/build_schema.py",
    "skerry/cloud/supervise/launch.py",
    "skerry/cloudlet/vm/launch.py",
    "skerry/lab/hosts/boot.py",
    "skerry/lab/testing.py",
}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    for handler in list(log.logger.handlers):
        log.logger.removeHandler(handler)
        handler.close()
    log.logger.propagate, log.logger.level = True, logging.NOTSET
    log._hidden.clear()
    log._begins.clear()
    log._file = None


def opened(root: Path, *, verbose: bool = False) -> Path:
    log.open_log(root, ["skerry", "up", "--with", "heat"], verbose=verbose)
    log.make_folder()
    return root / log.LOG


def test_commands_are_logged_with_duration_and_result(tmp_path: Path) -> None:
    path = opened(tmp_path)
    proc.run(["sh", "-c", "exit 0"])
    proc.run(["sh", "-c", "echo oh no >&2; exit 3"], check=False)
    with pytest.raises(CommandError):
        proc.run(["no-such-program"])
    with pytest.raises(CommandError):
        proc.run(["sleep", "9"], timeout=0.1)
    log.close_log("exit code 7", 1.5)
    lines = path.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[\d+\] ", line) for line in lines)
    told = [line.split("] ", 1)[1] for line in lines]
    assert told[0] == "verb: skerry up --with heat"
    assert re.fullmatch(r"0\.\d{3} s, exit status 0: sh -c 'exit 0'", told[1])
    assert re.fullmatch(r"0\.\d{3} s, exit status 3 \(oh no\): sh -c 'echo oh no >&2; exit 3'", told[2])
    assert told[3].endswith("it is not installed: no-such-program")
    assert re.fullmatch(r"0\.[1-9]\d\d s, no result after 0 s: sleep 9", told[4])
    assert told[5] == "1.500 s, exit code 7: the verb"
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_is_started_and_what_another_host_runs(tmp_path: Path) -> None:
    path = opened(tmp_path)
    log.started(["daemon", "-n"], 4711)
    with log.command(["ip", "link"], "edge-1") as running:
        running.ended(0)
    text = path.read_text()
    assert "started as process 4711: daemon -n" in text
    assert "exit status 0: on edge-1: ip link" in text


def test_an_exception_is_the_result(tmp_path: Path) -> None:
    path = opened(tmp_path)
    with pytest.raises(KeyboardInterrupt), log.command(["tempest", "run"]):
        raise KeyboardInterrupt
    assert "KeyboardInterrupt: : tempest run" in path.read_text()


@pytest.mark.parametrize(
    "argv",
    [
        ["openstack", "user", "create", "--password", SECRET, "bob"],
        ["openstack", f"--os-password={SECRET}"],
        ["env", f"OS_BOOTSTRAP_PASSWORD={SECRET}", "keystone-manage"],
        ["env", f"PASSWORD={SECRET} and {SECRET}", "x"],
        ["sh", "-c", f"export TOKEN={SECRET}; run"],
        ["sh", "-c", f"openstack --os-token {SECRET} list"],
        ["curl", "-d", f'{{"auth": {{"password": "{SECRET}", "x": 1}}}}'],
        ["nova-manage", f"--transport-url=rabbit://nova:{SECRET}@127.0.0.1:5672//"],
        ["mysql", "-e", f"select '{SECRET}-known'"],
    ],
    ids=lambda argv: argv[0],
)
def test_secrets_are_never_logged(argv: list[str], tmp_path: Path) -> None:
    log.hide([f"{SECRET}-known"])
    path = opened(tmp_path)
    with log.command(argv) as running:
        running.ended(1, f"refused: password: {SECRET}")
    log.becomes(argv)
    text = path.read_text()
    assert SECRET not in text and "***" in text
    assert argv[0] in text, "the rest of the command is there"


def test_input_and_environment_are_not_logged(tmp_path: Path) -> None:
    path = opened(tmp_path)
    proc.run(["cat"], input=SECRET, env={"ANY": SECRET})
    assert SECRET not in path.read_text()


def test_secrets_of_a_cloud_are_hidden(tmp_path: Path) -> None:
    from skerry.cloud.model.secrets import Secrets

    made = Secrets(tmp_path / "secrets.json", ["admin", "rabbitmq"])
    made.save()
    made.rotate(["admin"])
    log._hidden.clear()
    read = Secrets(tmp_path / "secrets.json", ["admin", "rabbitmq"])
    path = opened(tmp_path)
    log.started(["x", read["admin"], f"a{read['rabbitmq']}b", made.previous["admin"]], 1)
    assert path.read_text().endswith("x *** 'a***b' ***\n")


def test_one_command_is_one_line(tmp_path: Path) -> None:
    path = opened(tmp_path)
    log.started(["sh", "-c", "echo a\necho b\n" + "x" * 5000], 1)
    lines = path.read_text().splitlines()
    assert len(lines) == 2 and len(lines[1]) < log.MOST + 100


def test_verbose_shows_commands_but_not_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(tmp_path, verbose=True)
    proc.run(["true"])
    log.close_log("exit code 0", 1)
    assert re.fullmatch(r"\+ 0\.\d{3} s, exit status 0: true\n", capsys.readouterr().err)


def test_a_verb_that_only_looks_leaves_nothing(tmp_path: Path) -> None:
    log.open_log(tmp_path, ["skerry", "status"], verbose=False)
    proc.run(["true"])
    log.close_log("exit code 12", 0.1)
    assert list(tmp_path.iterdir()) == []


def test_a_verb_without_commands_is_not_logged(tmp_path: Path) -> None:
    path = opened(tmp_path)
    log.close_log("exit code 0", 0.1)
    assert not path.exists()


def test_a_folder_that_is_removed_is_not_made_again(tmp_path: Path) -> None:
    path = opened(tmp_path)
    proc.run(["true"])
    shutil.rmtree(tmp_path / "var")
    proc.run(["true"])
    assert not path.parent.exists()


def test_what_cannot_be_written_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "var").write_text("a file")
    opened(tmp_path)
    assert proc.run(["echo", "x"]).stdout == "x\n"
    if Path("/dev/full").exists():
        (tmp_path / "var").unlink()
        path = opened(tmp_path)
        path.symlink_to("/dev/full")
        assert proc.run(["echo", "x"]).stdout == "x\n"
    assert capsys.readouterr().err == ""


def test_no_link_leads_it_elsewhere(tmp_path: Path) -> None:
    path = opened(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path.symlink_to(victim)
    proc.run(["true"])
    assert victim.read_text() == "untouched"


WRITER = """
import sys, time
from pathlib import Path
from skerry.common import log
log.SIZE, log.FILES = 2000, 200
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
log.open_log(Path(sys.argv[1]), ["skerry", sys.argv[2]], verbose=False)
for number in range(600):
    log.started(["program", f"{sys.argv[2]}-{number}-"], number)
"""


def test_several_processes_rotate_it_and_lose_nothing(tmp_path: Path) -> None:
    path = opened(tmp_path)
    argv = [sys.executable, "-c", WRITER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src")}
    writers = [subprocess.Popen([*argv, name], env=environment) for name in ("one", "two", "three")]
    (tmp_path / "go").touch()
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = list(path.parent.iterdir())
    sizes = [file.stat().st_size for file in files if file != path]
    assert len(files) > 20 and min(sizes) > 1000, "nobody rotates what another has just rotated"
    assert max(sizes) < 2300
    assert {file.stat().st_mode & 0o777 for file in files} == {0o640}
    text = "".join(file.read_text() for file in files)
    missing = [f"{n}-{i}-" for n in ("one", "two", "three") for i in range(600) if f"{n}-{i}-" not in text]
    assert missing == []


def test_it_stays_within_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SIZE", 1000)
    monkeypatch.setattr(log, "FILES", 3)
    path = opened(tmp_path)
    for number in range(200):
        log.started(["program", str(number)], number)
    files = list(path.parent.iterdir())
    assert len(files) == 3 and sum(file.stat().st_size for file in files) <= 3000
    assert "program 199" in path.read_text()


def test_a_program_takes_the_place_of_the_verb(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from skerry.common import log, proc\n"
        f"log.open_log(Path({str(tmp_path)!r}), ['skerry', 'ssh'], verbose=False); log.make_folder()\n"
        "print('before'); proc.become(['sh', '-c', 'echo $X'], env={'X': 'after', 'PATH': '/usr/bin:/bin'})"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "before\nafter\n"
    assert "becomes: sh -c" in (tmp_path / log.LOG).read_text()
    with pytest.raises(CommandError, match="no-such-program"):
        proc.become(["no-such-program"])


def starts_program(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    name, of = node.func.attr, node.func.value
    if isinstance(of, ast.Name) and of.id == "subprocess":
        return name in ("run", "Popen", "call", "check_call", "check_output")
    if isinstance(of, ast.Name) and of.id == "os":
        return name == "system" or name.startswith(("exec", "spawn", "posix_spawn"))
    return name in ("create_subprocess_exec", "create_subprocess_shell", "create_process")


def test_every_program_that_is_started_is_logged() -> None:
    unlogged = []
    source = CHECKOUT / "src"
    for path in source.rglob("*.py"):
        name = str(path.relative_to(source))
        tree = ast.parse(path.read_text())
        for top in ast.walk(tree):
            if isinstance(top, ast.FunctionDef) and any(map(starts_program, ast.walk(top))):
                uses = {
                    n.value.id
                    for n in ast.walk(top)
                    if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
                }
                if "log" not in uses and name not in NOT_OF_A_VERB:
                    unlogged.append(f"{name}:{top.lineno} {top.name}")
    assert unlogged == []
