"""Back ends that keep services running: ``direct`` (supervisord) and ``systemd``."""

from skerry.cloud.supervise.base import Process, Supervisor
from skerry.cloud.supervise.choice import supervisor_for

__all__ = ["Process", "Supervisor", "supervisor_for"]
