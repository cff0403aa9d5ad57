"""TOML files as typed models, and what is wrong with one in a sentence that an operator can act on."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from skerry.common.errors import ConfigError, did_you_mean

NAMES = ("name", "ends")  # what distinguishes the tables of a list, in the order of preference


class Table(BaseModel):
    """A table of a file: it knows all its options, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model], *, remedy: str | None = None) -> Model:
    """Read and check a file; ``remedy`` is for one that cannot be read. Raises ConfigError with file, option and cause."""
    try:
        text = path.read_text()
    except PermissionError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", remedy="Run it with sudo.") from None
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", remedy=remedy) from None
    except UnicodeDecodeError:
        raise ConfigError(path, "is not text", remedy=remedy) from None
    return loads(text, model, path)


def loads(text: str, model: type[Model], where: object) -> Model:
    """Check the text of a file; ``where`` names it in errors. Raises ConfigError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(where, f"not TOML: {error}", remedy="Fix the line and run this again.") from None
    return check(data, model, where)


def check(data: Mapping[str, Any], model: type[Model], where: object) -> Model:
    """Check what was read from a file; ``where`` names it in errors. Raises ConfigError."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        text = "; ".join(_sentence(problem, data, model) for problem in error.errors())
        raise ConfigError(where, text, remedy=f"Fix {where} and run this again.") from None


def _sentence(problem: ErrorDetails, data: Mapping[str, Any], model: type[BaseModel]) -> str:
    option = _option(problem["loc"], data)
    if problem["type"] == "extra_forbidden":
        known = _model_at(model, problem["loc"][:-1]).model_fields
        slip = did_you_mean(str(problem["loc"][-1]), known)
        return f"unknown option '{option}' (known here: {', '.join(known)}){'.' if slip else ''}{slip}"
    if problem["type"] == "missing":
        return f"option '{option}' is missing"
    if problem["type"] == "value_error":
        told = problem["msg"].removeprefix("Value error, ")
        # A whole table was checked: the sentence names the options of which it speaks.
        return told if isinstance(problem["input"], dict) else f"option '{option}': {told}"
    told = problem["msg"][0].lower() + problem["msg"][1:]
    choices = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    slip = did_you_mean(str(problem["input"]), choices) if problem["type"] == "literal_error" else ""
    return (
        f"option '{option}' = {json.dumps(problem['input'], default=str)}: {told}{'.' if slip else ''}{slip}"
    )


def _option(where: tuple[int | str, ...], data: Any) -> str:
    """``link[h1:eth0 - tor].rate`` for link.3.rate: what the file has, not its place in a list."""
    words = ""
    for part in where:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        if isinstance(part, int):
            given = [data[name] for name in NAMES if data.get(name)] if isinstance(data, dict) else []
            named = given[0] if given else part + 1
            words += f"[{' - '.join(map(str, named)) if isinstance(named, list) else named}]"
        else:
            words += f".{part}" if words else str(part)
    return words


def _model_at(model: type[BaseModel], where: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of the table at a place, for what is known there."""
    for part in where:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type such as ``tuple[Host, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
