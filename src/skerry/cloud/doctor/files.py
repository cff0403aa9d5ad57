"""The cloud's files: secrets stay private, options are ones that the services know."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from skerry.cloud.config.ini import OURS
from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.operations.options import every_problem
from skerry.cloud.resources.base import key_path


class PrivateFiles(Check):
    """Nobody but their owner reads passwords and keys."""

    name = "private-files"
    message = "Whoever reads a secret has the cloud."
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        ctx = patient.ctx
        for path in (
            ctx.secrets.path,
            ctx.layout.clouds_yaml,
            key_path(ctx),
            *ctx.layout.etc.glob("services/*.json"),
            *ctx.layout.etc.glob("people/*.yaml"),
        ):
            mode = ctx.platform.mode(path)
            if mode is not None and mode & 0o077:
                yield Finding(
                    "error",
                    f"{path} can be read by others (mode {mode:o})",
                    remedy=f"chmod 600 {path}; then draw new secrets: skerry secrets rotate --all",
                    fix=partial(_make_private, path),
                )


def _make_private(path: Path) -> str:
    path.chmod(0o600)
    return f"made {path} private; who has read it before? To be sure: skerry secrets rotate --all"


class ValidOptions(Check):
    """Every option in every layer is one that its service knows, with a value that it takes."""

    name = "valid-options"
    message = "A service fails at an option, or never reads it."
    remedy = "Fix the line; 'skerry config explain OPTION' shows what is allowed. Then 'skerry up'."
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        for problem in every_problem(patient.ctx):
            if problem.level == "warning" and problem.path.endswith(OURS):
                continue  # nothing that an operator could fix
            hint = f"; did you mean {problem.nearest}?" if problem.nearest else ""
            place = f"[{problem.group}] {problem.option or ''}".strip()
            allowed = (f"allowed: {', '.join(problem.allowed)}",) if problem.allowed else ()
            yield Finding(
                "error" if problem.level == "error" else "warning",
                f"{place}: {problem.message}{hint}",
                (f"{problem.path}:{problem.line}", *allowed),
            )
