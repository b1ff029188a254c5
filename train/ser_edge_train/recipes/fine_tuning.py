"""The table ``[fine_tuning]`` of a recipe: a finished network goes on, rounded to int8."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ser_edge_train.recipes.table import Table


class FineTuning(Table):
    """The network that a training begins with, instead of random weights.

    It is fitted with its weights and activations rounded as an int8 file's, on the
    partition that it was trained on, and saved without any rounding.

    Attributes:
        run: Directory of its run, from the current folder unless it is absolute.
        network_sha256: Of that run's ``model.keras``; another one is refused.
    """

    run: Annotated[str, Field(min_length=1, max_length=4096)]
    network_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
