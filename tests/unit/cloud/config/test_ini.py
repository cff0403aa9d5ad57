from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg

from skerry.cloud.config.ini import HEADER, SITE, Entry, Multi, SecretValue, parse, read, render
from skerry.common.errors import ConfigError

RENDERED = [
    (True, "x = true"),
    (False, "x = false"),
    (0, "x = 0"),
    (1.5, "x = 1.5"),
    ("", "x ="),
    ("$state_path/instances", "x = $state_path/instances"),
    (SecretValue("pa$$w$rd"), "x = pa$$$$w$$rd"),
    (["a", "b"], "x = a,b"),
    ([], "x ="),
    ({"b": 2, "a": 1}, "x = a:1,b:2"),
    (Multi(["one", "two"]), "x = one\nx = two"),
    (Multi([SecretValue("a$b")]), "x = a$$b"),
    (" outer ", 'x = " outer "'),
    ('"quoted"', 'x = ""quoted""'),
    ("first\nsecond", "x = first\n    second"),
]


@pytest.mark.parametrize(("value", "text"), RENDERED)
def test_a_value_is_written_so(value: object, text: str) -> None:
    assert render({"DEFAULT": {"x": value}}, header="") == f"\n[DEFAULT]\n{text}\n"  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("value", "why"),
    [(["a,b"], "comma"), ("a\n\nb", "empty lines"), (SecretValue(r"a\$b"), "backslash"), ("a\rb", "control")],
)
def test_what_the_format_cannot_hold_is_refused(value: object, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        render({"s": {"x": value}})  # type: ignore[dict-item]
    assert str(caught.value).startswith("[s] x: ")


def test_order_does_not_depend_on_the_input() -> None:
    one = render({"b": {"y": 1, "x": 2}, "DEFAULT": {"z": 3}, "a": {}})
    assert one == render({"a": {}, "DEFAULT": {"z": 3}, "b": {"x": 2, "y": 1}})
    assert one == HEADER + "\n[DEFAULT]\nz = 3\n\n[a]\n\n[b]\nx = 2\ny = 1\n"
    assert SITE in HEADER


def test_a_secret_does_not_show() -> None:
    assert "hunter2" not in repr({"password": SecretValue("hunter2")})


OPERATORS = """\
# a comment
[DEFAULT]
debug: true

; another
device = one
device = two
long = first
  second

    # not a comment but an error
"""


def test_assignments_have_the_line_they_begin_on() -> None:
    file = parse("\n".join(OPERATORS.split("\n")[:9]) + "\n[Nova]\nx='q'\n[nova]\nx=2\n", "site")
    assert file.sections["DEFAULT"] == {
        "debug": [Entry("true", 3)],
        "device": [Entry("one", 6), Entry("two", 7)],
        "long": [Entry("first\nsecond", 8)],
    }
    assert file.get("NOVA", "x") == [Entry("q", 11), Entry("2", 13)]
    assert file.headings == {"DEFAULT": 2, "Nova": 10, "nova": 12}
    assert file.values()["DEFAULT"]["device"] == Multi(["one", "two"])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("x = 1\n", "f:1: there is an option before"),
        ("[a\n", "f:1: Invalid section"),
        ("[a]\nsecret words\n", "f:2: No ':' or '='"),
        (OPERATORS, "f:11: Unexpected continuation"),
        ("[a]\n= 1\n", "f:2: Key cannot be empty"),
    ],
)
def test_an_error_names_the_line_and_not_what_is_in_it(text: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert str(caught.value).startswith(where)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"[a]\nx=\xe9\n")
    for name in ("none", "latin"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read(tmp_path / name)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12))
def test_oslo_config_reads_the_secret_that_was_written(secret: str) -> None:
    try:
        text = render({"s": {"password": SecretValue(secret)}})
    except ConfigError:
        assert r"\$" in secret
        return
    sections: dict[str, dict[str, list[str]]] = {}
    parser = cfg.ConfigParser("f", sections)
    super(cfg.ConfigParser, parser).parse(io.StringIO(text))
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.StrOpt("password"), group="s")
    conf([], default_config_files=[], default_config_dirs=[])
    assert conf._substitute(sections["s"]["password"][-1]) == secret
