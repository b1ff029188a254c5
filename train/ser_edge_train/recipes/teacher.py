"""The table ``[teacher]`` of a recipe: soft labels from another model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ser_edge_train.recipes.table import Table


class Teacher(Table):
    """What another model thinks of the training utterances, blended into their labels.

    The target of an utterance is (1 - weight) times its label plus weight times the
    teacher's distribution over the classes of its corpus (Hinton et al., 2015). Utterances
    that the teacher does not know keep their label; validation and test always do.

    Attributes:
        scores: A table of scores, see :mod:`ser_edge_train.teacher_scores`; from the current
            folder unless it is absolute.
        name: What the teacher is called and where it comes from, for the model's card.
        weight: The teacher's share of the target, above 0, at most 1.
        temperature: Divides the teacher's log-probabilities; above 1 flattens them.
        scores_sha256: Of that table's bytes; the training fills it in, and a resumption
            refuses another.
        learnt_by: "this partition", or "nobody knows"; the training fills it in.
    """

    scores: Annotated[str, Field(min_length=1, max_length=4096)]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    weight: Annotated[float, Field(gt=0, le=1)] = 0.6
    temperature: Annotated[float, Field(ge=0.05, le=20)] = 1.0
    scores_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    learnt_by: Literal["this partition", "nobody knows"] | None = None
