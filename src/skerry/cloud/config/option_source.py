"""Where the options of a service are listed; a component declares it, and the schema builder reads it."""

from __future__ import annotations

from dataclasses import dataclass

# What every service uses. The rest is listed per service, so that an option in a file whose service never
# reads it is found; what a service registers by importing is noticed anyway.
COMMON = (
    "keystonemiddleware.audit",
    "keystonemiddleware.auth_token",
    "oslo.cache",
    "oslo.concurrency",
    "oslo.db",
    "oslo.log",
    "oslo.messaging",
    "oslo.middleware",
    "oslo.policy",
    "osprofiler",
)
DAEMONS = (
    "oslo.reports",
    "oslo.service.periodic_task",
    "oslo.service.service",
    "oslo.service.sslutils",
    "oslo.service.wsgi",
    "oslo.versionedobjects",
)
VOLUMES = ("castellan.config", "os_brick", "os_brick.lightos", "oslo.limit")


@dataclass(frozen=True)
class OptionSource:
    """Entry points of ``oslo.config.opts`` ("x.*": all that begin so), and packages that register more when imported.

    ``distribution`` is the service's name on the package index, where it is another than the component's.
    """

    namespaces: tuple[str, ...]
    packages: tuple[str, ...]
    distribution: str = ""
