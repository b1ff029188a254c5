"""TOML that people write, and every way in which it is none."""

from __future__ import annotations

import tomllib
from typing import Any


class NotToml(ValueError):
    """The text is no TOML; says why in one line, and ``remedy`` what to do."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"not TOML: {fault}")
        self.remedy = remedy


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a text.

    Raises:
        NotToml: It is none, or one that Python's own parser gives up on.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        words = str(fault)
        # Tells no line: what was opened somewhere above is not closed.
        at_end = words.endswith("(at end of document)")
        raise NotToml(words, "close what is open" if at_end else "mend that line") from None
    except RecursionError:
        raise NotToml("nested too deeply", "write fewer tables in tables") from None
    except ValueError:
        # Python turns no number of over 4300 digits into an integer.
        raise NotToml("a number of too many digits", "write a shorter one") from None
