"""Run on the machine: kill -9 one service and print, as JSON, how long its probe was not content.

Arguments: the root folder, the service, and how many seconds to wait at most.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from skerry.cloud.context import Context
from skerry.cloud.operations.graph import services
from tests.support.deadlines import clock


def main(root: str, name: str, patience: float) -> None:
    ctx = Context.at(root)
    service = next(service for service in services(ctx) if service.name == name)
    started = clock().now()
    before: str | None = "it does not run"
    # It may still be on its way back to a service that was killed before it.
    while before and clock().now() - started < patience:
        time.sleep(0.1)
        old = ctx.supervisor.process(name).pid
        before = service.ready.missing(old) if old else "it does not run"
    if before:
        print(json.dumps({"before": before}))
        return
    os.kill(old, signal.SIGKILL)
    started = clock().now()
    lack: str | None = "it has not started again"
    while lack and (waited := clock().now() - started) < patience:
        pid = ctx.supervisor.process(name).pid
        lack = service.ready.missing(pid) if pid and pid != old else "it has not started again"
        time.sleep(0.1)
    print(json.dumps({"before": None, "seconds": round(waited, 1), "lack": lack}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
