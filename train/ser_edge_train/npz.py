"""Arrays of an ``.npz`` file that may be damaged or hostile."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def array_of(file: Any, name: str) -> npt.NDArray[Any]:
    """A member of what ``numpy.load`` opened.

    Raises:
        ValueError: It is no array: numpy hands out what begins otherwise as it is.
    """
    found = file[name]
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{name} is no array")
    return found
