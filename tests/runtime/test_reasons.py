"""Whoever silences a check of the runtime's types or style says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ser_edge_runtime

SOURCES = Path(ser_edge_runtime.__file__).parent
SILENCED = re.compile(r"#\s*(?:type: ignore|noqa)(?:\[[^]]*\]|: [A-Z0-9, ]+)?(?P<rest>.*)")


def unreasoned(text: str) -> list[int]:
    """Lines with a silenced check and no reason: none behind it, and no comment above.

    Above is: in the lines without an empty one between.
    """
    found = []
    commented = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            commented = False
        commented = commented or line.lstrip().startswith("# ")
        silenced = SILENCED.search(line)
        if silenced and not commented and not re.search(r"\w{2}", silenced["rest"]):
            found.append(number)
    return found


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("x = 1  # type: ignore[misc]", [1]),
        ("x = 1  # type: ignore", [1]),
        ("x = 1  # noqa: PTH123", [1]),
        ("x = 1  # type: ignore[misc]  # numpy has no such type", []),
        ("x = 1  # noqa: PTH123 - pathlib costs 4 ms", []),
        ("# numpy has no such type\nx = 1  # type: ignore[misc]", []),
        ("# About something else.\n\nx = 1  # type: ignore[misc]", [3]),
        ("x = 1  # a comment", []),
    ],
)
def test_what_counts_as_a_reason(text, lines):
    assert unreasoned(text) == lines


def test_every_silenced_check_has_a_reason():
    found = {
        f"{path.relative_to(SOURCES)}:{line}"
        for path in SOURCES.rglob("*.py")
        for line in unreasoned(path.read_text(encoding="utf-8"))
    }
    assert found == set()
