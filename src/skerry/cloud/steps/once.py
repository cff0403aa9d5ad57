"""Work that is too expensive to check by looking: done once for each fingerprint of what goes into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.common.files import flush


class Once(Step):
    """Runs ``work`` when what goes into it (``of``) is not what it last ran with.

    ``work`` must be repeatable: a run that was killed half-way does it again.
    """

    def __init__(
        self,
        ctx: Context,
        name: str,
        title: str,
        work: Callable[[Callable[[str], None]], None],
        of: object = (),
        needs: tuple[str, ...] = (),
        cost: float = 1.0,
        heavy: bool = False,
    ) -> None:
        self.ctx, self.name, self.title, self.needs, self.cost, self.heavy = (
            ctx,
            name,
            title,
            needs,
            cost,
            heavy,
        )
        self._work = work
        self._fingerprint = hashlib.sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[
            :16
        ]

    def check(self) -> list[Change]:
        return [] if self.ctx.journal.done(self.name) == self._fingerprint else [Change(self.title)]

    def apply(self, report: Callable[[str], None]) -> None:
        self._work(report)
        flush(self.ctx.layout.state)
        self.ctx.journal.finish(self.name, self._fingerprint)
