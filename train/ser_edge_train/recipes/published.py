"""The tables ``[[published]]`` of a recipe: figures that others printed for such a system."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ser_edge_train.recipes.table import Table


class Published(Table):
    """One printed figure. Nothing is computed from it; it stands beside ours in tables.

    Attributes:
        figure: In per cent.
        measure: What it counts.
        protocol: The protocol of ours that comes nearest to how it was measured.
        sex: Whose speakers it was measured on.
        system: What was measured, in plain words.
    """

    figure: Annotated[float, Field(gt=0, le=100)]
    measure: Literal["accuracy", "uar"] = "accuracy"
    protocol: Annotated[str, Field(min_length=1, max_length=64)]
    sex: Literal["mixed", "female", "male"] = "mixed"
    system: Annotated[str, Field(min_length=1, max_length=200)]
