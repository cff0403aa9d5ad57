"""Exit codes: one for each family of errors, and each of them documented."""

from __future__ import annotations

from collections import Counter

import pytest

from skerry.cli.develop.reference import error_classes
from skerry.common.errors import EXIT_CODES, NotFoundError, SkerryError

EVERY = error_classes()
FAMILIES = [each for each in EVERY if SkerryError in each.__bases__]


def test_there_are_classes_of_every_system() -> None:
    packages = {each.__module__.split(".")[1] for each in EVERY}
    assert packages >= {"common", "cloud", "cloudlet", "lab"}


def test_families_are_declared_in_one_place() -> None:
    assert {each.__module__ for each in FAMILIES} == {"skerry.common.errors"}


def test_each_family_has_a_code_of_its_own() -> None:
    codes = Counter(each.exit_code for each in FAMILIES)
    assert [code for code, count in codes.items() if count > 1] == []
    assert [each.__name__ for each in FAMILIES if "exit_code" not in vars(each)] == []


def test_derived_classes_keep_the_code_of_their_family() -> None:
    assert [each.__name__ for each in EVERY if each not in FAMILIES and "exit_code" in vars(each)] == []


def test_every_code_is_documented_and_no_other() -> None:
    assert {each.exit_code for each in FAMILIES} | {0} == set(EXIT_CODES)


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(each.__name__ for each in EVERY).items() if count > 1] == []


@pytest.mark.parametrize("number", [3, 4, 5, 6, 8, 11, 12, 130])
def test_codes_of_the_first_version_are_kept(number: int) -> None:
    names = {
        3: "Config",
        4: "Preflight",
        5: "Busy",
        6: "Package",
        8: "NotReady",
        11: "Refused",
        12: "NotFound",
    }
    found = [each.__name__ for each in FAMILIES if each.exit_code == number]
    assert found == [f"{names.get(number, 'Interrupt')}Error"]


def test_a_remedy_can_be_given_and_is_kept() -> None:
    error = NotFoundError("There is no x.", remedy="Make one.")
    assert (str(error), error.remedy, error.exit_code) == ("There is no x.", "Make one.", 12)
