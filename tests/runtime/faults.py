"""What an error says, for tests that hold it to the file or option, the fault and the next step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

DAMAGED = "it was damaged or changed: copy it again from where it came from"
"""What to do about a model file that breaks a rule."""


def said(error: type[Exception], call: Callable[..., Any], *values: Any, **named: Any) -> str:
    """The message of the error that a call must end in: that class itself, and one line."""
    with pytest.raises(error) as caught:
        call(*values, **named)
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.isprintable()
    return message
