"""Live progress of a run: what runs, what is next, how long. Plain lines where there is no terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from skerry.cloud.engine.step import Event, Graph


class Progress:
    """A context manager whose ``watch`` takes a run's events."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(file=sys.stderr, highlight=False, quiet=quiet)
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._graph: Graph | None = None
        self._running: dict[str, tuple[float, str]] = {}
        self._ended: dict[str, str] = {}

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def begin(self, graph: Graph) -> None:
        """Take note of what the run consists of. A second one is shown from its own beginning."""
        with self._lock:
            self._graph, self._begun = graph, time.monotonic()
            self._running.clear()
            self._ended.clear()

    def tell(self, text: str) -> None:
        """Show a sentence to a user, also one who wants nothing but JSON on the standard output."""
        quiet, self.console.quiet = self.console.quiet, False
        self.console.print(text, markup=False, soft_wrap=True)
        self.console.quiet = quiet

    def watch(self, event: Event) -> None:
        now = time.monotonic()
        with self._lock:
            name = event.step.name
            if event.kind == "running":
                self._running[name] = (now, "")
            elif event.kind == "report":
                self._running[name] = (self._running.get(name, (now, ""))[0], event.text)
                if not self._live:
                    self._line("", f"{event.step.title}: {event.text}")
            else:
                self._running.pop(name, None)
                self._ended[name] = event.kind
                if event.kind == "done":
                    self._line("[green]✓[/]", event.step.title, f"{event.seconds:.1f} s")
                elif event.kind == "failed":
                    self._line("[red]✗[/]", f"{event.step.title}: {event.text}")

    def _line(self, mark: str, text: str, right: str = "") -> None:
        clock = f"{time.monotonic() - self._begun:5.0f} s"
        body = text.replace("[", r"\[")
        if right:
            body += f"  [dim]{right}[/]"
        self.console.print(f"[dim]{clock}[/] {mark or ' '} {body}", soft_wrap=True)

    def _render(self) -> Group:
        with self._lock:
            graph = self._graph
            if graph is None:
                return Group(Text("looking at the machine ..."))
            total = sum(step.cost for step in graph.order) or 1.0
            done = sum(graph.steps[name].cost for name in self._ended)
            table = Table.grid(padding=(0, 1))
            now = time.monotonic()
            for name, (start, said) in sorted(self._running.items(), key=lambda item: item[1][0]):
                title = graph.steps[name].title + (f": {said}" if said else "")
                table.add_row(Text("▸", "cyan"), Text(title), Text(f"{now - start:.0f} s", "dim"))
            waiting = [s for s in graph.order if s.name not in self._ended and s.name not in self._running]
            coming = ", ".join(step.title for step in waiting[:3])
            share = done / total
            elapsed = now - self._begun
            left = f"about {max(1, (elapsed / share - elapsed)):.0f} s left" if share > 0.08 else "measuring"
            status = Text(f"{len(self._ended)} of {len(graph.order)} steps, {elapsed:.0f} s, {left}", "bold")
            bar = ProgressBar(total=1.0, completed=share, width=40)
            return Group(table, Text(f"  next: {coming}" if coming else "", "dim"), bar, status)
