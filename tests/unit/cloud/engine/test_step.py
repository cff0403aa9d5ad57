"""The graph of steps: order, parallel runs, continuing after a break."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.support.deadlines import at_most

from skerry.cloud.engine.step import Change, Event, Graph, GraphRun, Step
from skerry.common import interrupt
from skerry.common.errors import CommandError, StepError


class Made(Step):
    """A step that is done once it was applied; ``made`` is what the world remembers."""

    def __init__(self, name: str, made: list[str], needs: tuple[str, ...] = (), fail: bool = False) -> None:
        self.name = self.title = name
        self.needs, self.made, self.fail = needs, made, fail

    def check(self) -> list[Change]:
        return [] if self.name in self.made else [Change(f"make {self.name}")]

    def apply(self, report: Callable[[str], None]) -> None:
        if self.fail:
            raise StepError(self.name, "it broke")
        self.made.append(self.name)


def quiet(event: Event) -> None:
    pass


@settings(max_examples=50, deadline=None)
@given(some.lists(some.sets(some.integers(0, 11)), min_size=1, max_size=12))
def test_every_step_runs_once_and_after_what_it_needs(needs: list[set[int]]) -> None:
    made: list[str] = []
    steps = [
        Made(f"s{i}", made, tuple(f"s{other}" for other in sorted(wanted) if other < i))
        for i, wanted in enumerate(needs)
    ]
    GraphRun(Graph(reversed(steps)), quiet).go()
    assert sorted(made) == sorted(step.name for step in steps)
    for step in steps:
        assert all(made.index(need) < made.index(step.name) for need in step.needs)


def test_independent_steps_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=at_most(5))

    class Meets(Made):
        def apply(self, report: Callable[[str], None]) -> None:
            both.wait()  # breaks unless the other step is here too
            super().apply(report)

    made: list[str] = []
    GraphRun(Graph([Meets("a", made), Meets("b", made)]), quiet).go()
    assert sorted(made) == ["a", "b"]


def test_a_run_that_broke_goes_on_where_it_broke() -> None:
    made: list[str] = []
    broken = Made("second", made, ("first",), fail=True)
    graph = Graph([Made("first", made), broken, Made("third", made, ("second",))])
    with pytest.raises(StepError, match="it broke"):
        GraphRun(graph, quiet).go()
    assert made == ["first"]
    broken.fail = False
    again = GraphRun(graph, quiet)
    again.go()
    assert made == ["first", "second", "third"]
    assert sorted(again.changed) == ["second", "third"]


def test_nothing_is_applied_when_nothing_is_to_do() -> None:
    seen: list[tuple[str, str]] = []
    run = GraphRun(Graph([Made("a", ["a"])]), lambda event: seen.append((event.step.name, event.kind)))
    run.go()
    assert seen == [("a", "running"), ("a", "unchanged")]
    assert run.changed == {}


def test_a_step_that_does_not_bring_what_it_should_is_an_error() -> None:
    class Idle(Made):
        def apply(self, report: Callable[[str], None]) -> None:
            pass

    with pytest.raises(StepError, match="still to do: make a"):
        GraphRun(Graph([Idle("a", [])]), quiet).go()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([("a", ("nobody",))], "needs nobody"),
        ([("a", ("b",)), ("b", ("a",))], "circle: a -> b -> a"),
    ],
)
def test_defective_graphs_are_refused(steps: list[tuple[str, tuple[str, ...]]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Graph([Made(name, [], needs) for name, needs in steps])


def test_the_longest_chain_is_the_most_urgent() -> None:
    made: list[str] = []
    graph = Graph([Made("a", made), Made("b", made, ("a",)), Made("c", made, ("b",)), Made("x", made)])
    assert graph.urgency() == {"a": 3.0, "b": 2.0, "c": 1.0, "x": 1.0}


def test_an_interrupt_lets_the_running_step_end_and_starts_no_other() -> None:
    class Interrupted(Made):
        def apply(self, report: Callable[[str], None]) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().apply(report)

    made: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        GraphRun(Graph([Interrupted("a", made), Made("b", made, ("a",))]), quiet).go()
    assert made == ["a"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_in_the_last_step_is_not_lost() -> None:
    class Interrupted(Made):
        def apply(self, report: Callable[[str], None]) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().apply(report)

    with pytest.raises(KeyboardInterrupt):
        GraphRun(Graph([Interrupted("a", [])]), quiet).go()


def test_within_an_interrupted_verb_a_run_does_not_end_as_if_it_were_whole() -> None:
    made: list[str] = []
    with pytest.raises(KeyboardInterrupt), interrupt.answered(lambda text: None):
        os.kill(os.getpid(), signal.SIGTERM)
        GraphRun(Graph([Made("a", made)]), quiet).go()
        made.append("what comes after")
    assert made == []


class Typed(Made):
    def apply(self, report: Callable[[str], None]) -> None:
        raise CommandError("mkfs", "exit status 1", "no space left")


def test_a_command_that_fails_in_a_step_is_a_failed_step() -> None:
    with pytest.raises(
        StepError, match="The step 'a' failed: 'mkfs' ended with exit status 1: no space left"
    ):
        GraphRun(Graph([Typed("a", [])]), quiet).go()
