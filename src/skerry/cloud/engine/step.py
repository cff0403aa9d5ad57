"""Steps and the graph that they form: check, plan, apply, verify; in parallel, and again where a run broke."""

from __future__ import annotations

import heapq
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

from skerry.common import interrupt
from skerry.common.errors import CommandError, InterruptError, SkerryError, StepError


@dataclass(frozen=True)
class Change:
    """One thing that a step would change: ``what`` from ``before`` to ``after`` (None: it is not there)."""

    what: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.before is None:
            return self.what if self.after is None else f"{self.what}: {self.after}"
        return f"{self.what}: {self.before} -> {self.after if self.after is not None else 'gone'}"


class Unknown(Exception):
    """Raised by a check that cannot look because something it needs is not there yet; its text is what."""


class Step(ABC):
    """One small idempotent change. ``needs`` names steps that must be done before, ``cost`` is CPU seconds."""

    name: str
    title: str
    needs: tuple[str, ...] = ()
    cost: float = 1.0
    live: bool = False  # its check asks services that other steps start
    heavy: bool = False  # takes a whole core: no more of these at once than there are cores

    @abstractmethod
    def check(self) -> list[Change]:
        """What differs from how it should be; nothing is touched. Raises Unknown when it cannot look."""

    @abstractmethod
    def apply(self, report: Callable[[str], None]) -> None:
        """Make it so. ``report`` shows the user the progress of a long step."""

    def verify(self) -> None:
        """Raise StepError when applying has not brought what it should."""
        left = self.check()
        if left:
            raise StepError(self.name, f"after it ran there is still to do: {left[0]}")


@dataclass(frozen=True)
class Event:
    """Something that a run reports to its watcher."""

    kind: Literal["waiting", "running", "report", "done", "unchanged", "failed"]
    step: Step
    text: str = ""
    seconds: float = 0.0
    changes: Sequence[Change] = ()


class Graph:
    """Steps in the order of their needs.

    Raises ValueError for a need that no step has or for a circle: both are defects of ours.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = {step.name: step for step in steps}
        for step in self.steps.values():
            for need in step.needs:
                if need not in self.steps:
                    raise ValueError(f"step {step.name} needs {need}, which does not exist")
        self.order = self._sorted()

    def _sorted(self) -> list[Step]:
        done: dict[str, None] = {}
        path: list[str] = []

        def visit(name: str) -> None:
            if name in done:
                return
            if name in path:
                raise ValueError(f"steps need each other in a circle: {' -> '.join([*path, name])}")
            path.append(name)
            for need in self.steps[name].needs:
                visit(need)
            path.pop()
            done[name] = None

        for name in self.steps:
            visit(name)
        return [self.steps[name] for name in done]

    def urgency(self) -> dict[str, float]:
        """Seconds of the longest chain of steps that begins with each step: the longest goes first."""
        longest: dict[str, float] = {step.name: 0.0 for step in self.steps.values()}
        for step in reversed(self.order):
            own = longest[step.name] + step.cost
            longest[step.name] = own
            for need in step.needs:
                longest[need] = max(longest[need], own)
        return longest


class GraphRun:
    """One pass over a graph. Ends early, and orderly, at the first failure or when it is interrupted."""

    def __init__(self, graph: Graph, watch: Callable[[Event], None], cores: int | None = None) -> None:
        self.graph = graph
        self.watch = watch
        self.changed: dict[str, list[Change]] = {}
        self._cores = threading.Semaphore(cores or max(2, os.cpu_count() or 2))

    def go(self) -> None:
        """Do what is to be done.

        Raises the first step's error, or KeyboardInterrupt, after the running steps have ended.
        """
        with interrupt.answered():
            failure = self._all()
            interrupt.check()
            if failure is not None:
                raise failure

    def _all(self) -> BaseException | None:
        urgency = self.graph.urgency()
        waiting = {step.name: set(step.needs) for step in self.graph.order}
        ready: list[tuple[float, str]] = []
        for name in [name for name, needs in waiting.items() if not needs]:
            heapq.heappush(ready, (-urgency[name], name))
            del waiting[name]
        running: dict[Future[None], str] = {}
        failure: BaseException | None = None
        with ThreadPoolExecutor(max_workers=12, thread_name_prefix="step") as pool:
            while ready or running:
                while ready and failure is None and not interrupt.asked():
                    _, name = heapq.heappop(ready)
                    running[pool.submit(self._one, self.graph.steps[name])] = name
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    error = future.exception()
                    if error is not None:
                        failure = failure or error
                        continue
                    for other in [other for other, needs in waiting.items() if name in needs]:
                        waiting[other].discard(name)
                        if not waiting[other]:
                            del waiting[other]
                            heapq.heappush(ready, (-urgency[other], other))
        return failure

    def _one(self, step: Step) -> None:
        started = time.monotonic()
        try:
            with self._cores if step.heavy else nullcontext():
                started = time.monotonic()
                with interrupt.running(step.title, step.cost):
                    self._work(step)
        except InterruptError:
            raise  # it has not failed
        except Exception as error:
            self.watch(Event("failed", step, str(error), time.monotonic() - started))
            if isinstance(error, CommandError):
                raise StepError(step.name, error) from error
            if isinstance(error, SkerryError):
                raise
            raise StepError(step.name, f"{type(error).__name__}: {error}") from error

    def _work(self, step: Step) -> None:
        started = time.monotonic()
        self.watch(Event("running", step))
        try:
            changes = step.check()
        except Unknown as reason:
            raise StepError(step.name, str(reason)) from None
        if not changes:
            self.watch(Event("unchanged", step, seconds=time.monotonic() - started))
            return
        step.apply(lambda text: self.watch(Event("report", step, text)))
        step.verify()
        self.changed[step.name] = changes
        self.watch(Event("done", step, seconds=time.monotonic() - started, changes=changes))
