"""No service restarts with a configuration that it would refuse, or silently not read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from skerry.cloud.config import ini, schema
from skerry.cloud.config.validate import Problem, validate
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.supervise.service import File
from skerry.common.errors import ConfigError

REMEDY = "Fix the line and run 'skerry up' again. 'skerry config explain OPTION' shows what is allowed."


class ValidConfiguration(Step):
    """Every layer of every component, ours and the operator's, fits the option schema of its service.

    One step for all components: nothing restarts while something is wrong anywhere. It looks at what the files should
    contain, so that ``plan`` refuses a wrong site file too.
    """

    name = "options"
    title = "the services' options"
    cost = 0.1

    def __init__(
        self,
        ctx: Context,
        files: Mapping[str, Callable[[], Sequence[File]]],
        services: Mapping[str, str] | None = None,
    ) -> None:
        """``files`` are those of each component, ``services`` whose options they have where that is not its name."""
        self.ctx, self._files, self._services = ctx, files, services or {}
        self.needs = tuple(f"configure:{component}" for component in files)

    def check(self) -> list[Change]:
        """Raises ConfigError for the first error; warnings that were not said yet are to be said."""
        problems = self._problems()
        refuse(problems)
        warnings = _operators(problems)
        if not warnings or self.ctx.journal.done(self.name) == _mark(warnings):
            return []
        return [Change(str(problem)) for problem in warnings]

    def apply(self, report: Callable[[str], None]) -> None:
        warnings = _operators(self._problems())
        for problem in warnings:
            report(str(problem))
        self.ctx.journal.finish(self.name, _mark(warnings))

    def _problems(self) -> list[Problem]:
        return [
            problem
            for component, files in self._files.items()
            for problem in component_problems(self._services.get(component, component), files())
        ]


def component_problems(component: str, files: Sequence[File]) -> list[Problem]:
    """What is wrong in the layers among ``files``; nothing for a component whose options are not known (horizon).

    Raises ConfigError, with the line, for a file that cannot be parsed.
    """
    if component not in schema.services():
        return []
    layers = [ini.parse(file.content, str(file.path)) for file in files if is_layer(file.path)]
    found = []
    for layer in layers:
        found += validate(component, layer, beside=[other for other in layers if other is not layer])
    return found


def is_layer(path: Path) -> bool:
    """Whether a file is one that oslo.config reads."""
    return path.name in (ini.OURS, ini.SITE)


def refuse(problems: Sequence[Problem]) -> None:
    """Raises ConfigError when one of ``problems`` is an error, with what is allowed there."""
    errors = [problem for problem in problems if problem.level == "error"]
    if not errors:
        return
    first, rest = errors[0], len(errors) - 1
    place = f"[{first.group}] {first.option}" if first.option else f"[{first.group}]"
    text = f"{place}: {first.message}"
    if first.nearest:
        text += f"; did you mean {first.nearest}?"
    if first.allowed and not all(value in first.message for value in first.allowed):
        text += f" (allowed: {', '.join(first.allowed)})"
    if rest:
        text += f" -- and {rest} more: 'skerry config validate' lists them"
    raise ConfigError(f"{first.path}:{first.line}", text, remedy=REMEDY)


def _operators(problems: Sequence[Problem]) -> list[Problem]:
    """Those in the operator's own files: what is old in ours is not theirs to fix."""
    return [problem for problem in problems if Path(problem.path).name == ini.SITE]


def _mark(problems: Sequence[Problem]) -> str:
    return hashlib.sha256("\n".join(map(str, problems)).encode()).hexdigest()[:16]
