"""Documentation points to what is there: links between pages, and the folders and files of the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support import CHECKOUT

from skerry.cloud.components import registry

PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("changes/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)|\]\((#[^)\s]+)\)")
# `cloud/images/tiny.py`, `src/skerry/cloud/`: a path with a folder in it; not one of a machine.
PATH = re.compile(
    r"`((?:src/skerry|tests|docs|benchmarks|locks|changes|cloud|cli|common|lab|cloudlet|migration)/[a-z0-9_./-]*)`"
)
ROOTS = (CHECKOUT, CHECKOUT / "src/skerry")


def shown(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def anchors(page: Path) -> set[str]:
    """The names of the headings of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


# Services of OpenStack that a user may look for, besides those that every cloud has.
SERVICES = {
    *(
        "aodh",
        "barbican",
        "blazar",
        "ceilometer",
        "cinder",
        "cloudkitty",
        "cyborg",
        "designate",
        "gnocchi",
        "heat",
    ),
    *("ironic", "magnum", "manila", "masakari", "mistral", "octavia", "swift", "tacker", "trove", "vitrage"),
    *("watcher", "zaqar", "zun"),
}


def test_the_readme_names_every_service_that_is_missing_and_no_other() -> None:
    text = (CHECKOUT / "README.md").read_text()
    section = text.partition("## What it does not do yet")[2]
    named = {word for words in re.findall(r"\(([a-z, ]+)\)", section) for word in words.split(", ")}
    have = {component.name for component in registry.components()}
    assert named & SERVICES == SERVICES - have


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor, own in LINK.findall(page.read_text()):
        goal = page.parent / target if target else page
        if not goal.exists() or ((anchor or own) and (anchor or own) not in anchors(goal)):
            broken.append(target + (anchor or own))
    assert broken == []


@pytest.mark.parametrize("page", [p for p in PAGES if "decisions" not in p.parts], ids=shown)
def test_paths_exist(page: Path) -> None:
    """Records of decisions name what was there when they were written."""
    named = set(PATH.findall(page.read_text()))
    assert {path for path in named if not any((root / path).exists() for root in ROOTS)} == set()
