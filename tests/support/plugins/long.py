"""pytest plugin: ``--long`` runs the cases that are marked ``long``, too; each has a sample that always runs."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("skerry").addoption(
        "--long", action="store_true", help="run long cases, too (a run without it has a sample of them)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("long"):
        return
    dropped = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]
