"""What is wrong with a TOML file, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator, model_validator

from skerry.common.errors import ConfigError
from skerry.common.toml_model import Table, load, loads


class Sheep(Table):
    """One of a flock."""

    name: str
    legs: Annotated[int, Field(ge=4)] = 4
    colour: Literal["black", "white"] = "white"
    bells: tuple[Annotated[int, Field(ge=1)], ...] = ()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "Wolf":
            raise ValueError("that is not a sheep")
        return name

    @model_validator(mode="after")
    def _whole(self) -> Sheep:
        if self.name == "Dolly" and self.colour == "black":
            raise ValueError("Dolly is white")
        return self


class Flock(Table):
    """All of them."""

    sheep: tuple[Sheep, ...]
    dog: Sheep | None = None
    by_name: dict[str, Sheep] = {}


SOME = 'sheep = [{name = "Dolly"}]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "option 'sheep' is missing"),
        (SOME + "shep = 1", "unknown option 'shep' (known here: sheep, dog, by_name)"),
        (
            '[[sheep]]\nname = "Dolly"\nlegs = 4\narms = 2',
            "unknown option 'sheep[Dolly].arms' (known here: name, legs, colour, bells)",
        ),
        (
            SOME + "dog = {leg = 1}",
            "option 'dog.name' is missing; unknown option 'dog.leg' (known here: name,",
        ),
        (SOME + "[by_name.x]\nname = 'x'\nleg = 1", "unknown option 'by_name.x.leg' (known here: name,"),
        ("[[sheep]]\nlegs = 3", "option 'sheep[1].legs' = 3: input should be greater than or equal to 4"),
        (
            'sheep = [{name = "x", colour = "red"}]',
            """'sheep[x].colour' = "red": input should be 'black' or""",
        ),
        ('sheep = [{name = "x", bells = [1, 0]}]', "option 'sheep[x].bells[2]' = 0: input should be"),
        ('sheep = [{name = "Wolf"}]', "option 'sheep[Wolf].name': that is not a sheep"),
        ('sheep = [{name = "Dolly", colour = "black"}]', "flock.toml: Dolly is white"),
        ("sheep = \n", "flock.toml: not TOML: Invalid value (at line 1"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        loads(text, Flock, "flock.toml")
    assert told in str(wrong.value)
    assert wrong.value.exit_code == 3 and "run this again" in wrong.value.remedy


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "flock.toml"
    path.write_text(SOME)
    assert load(path, Flock).sheep[0].legs == 4


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: cannot be read: No such file") as wrong:
        load(tmp_path / "none", Flock, remedy="Name a file.")
    assert wrong.value.remedy == "Name a file."
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="binary: is not text"):
        load(tmp_path / "binary", Flock)
