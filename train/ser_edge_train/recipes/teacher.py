"""The table ``[teacher]`` of a recipe: soft labels from another model, and what it hears."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ser_edge_train.recipes.table import Table


class Hint(Table):
    """What a large encoder makes of an utterance, for the network to learn beside its label.

    While it is trained, the network has a second head, a linear one on what the logits are
    made of, that is to give the leading values of the utterance's embedding (hints: Romero et
    al., 2015, arXiv:1412.6550). The loss of training clips, in the history too, gets ``weight``
    times their mean squared error; that of validation clips does not. The head is not kept.

    Attributes:
        embeddings: A file, see :mod:`ser_edge_train.embeddings`; from the current folder
            unless it is absolute.
        components: How many values are learnt, the first ones of a row.
        weight: Factor of the mean squared error, above 0.
        by_speaker: Whether each value is standardised over a speaker's training utterances;
            otherwise over all of them. What is left then is how it was said, not by whom.
        by_label: Whether an error counts by the share of its value's variance that lies
            between the labels of a corpus (eta squared, their mean 1); otherwise all values
            count alike. Most of what an encoder hears, as the words, tells no emotion.
        embeddings_sha256: Of that file's bytes; the training fills it in, and a resumption
            refuses another.
    """

    embeddings: Annotated[str, Field(min_length=1, max_length=4096)]
    components: Annotated[int, Field(ge=1, le=4096)] = 256
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    by_speaker: bool = True
    by_label: bool = True
    embeddings_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Teacher(Table):
    """What another model thinks of the training utterances, blended into their labels.

    The target of an utterance is (1 - weight) times its label plus weight times the
    teacher's distribution over the classes of its corpus (Hinton et al., 2015). Utterances
    that the teacher does not know keep their label; validation and test always do.

    Attributes:
        scores: A table of scores, see :mod:`ser_edge_train.teacher_scores`; from the current
            folder unless it is absolute.
        name: What the teacher is called and where it comes from, for the model's card.
        note: What must be said with the model's figures, for its card: one sentence. Words
            alone, so that a recipe with another note is the same recipe.
        weight: The teacher's share of the target, above 0, at most 1.
        temperature: Divides the teacher's log-probabilities; above 1 flattens them.
        scores_sha256: Of that table's bytes; the training fills it in, and a resumption
            refuses another.
        learnt_by: "this partition", or "nobody knows"; the training fills it in.
        hint: See :class:`Hint`; left out: none.
    """

    scores: Annotated[str, Field(min_length=1, max_length=4096)]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    note: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    weight: Annotated[float, Field(gt=0, le=1)] = 0.6
    temperature: Annotated[float, Field(ge=0.05, le=20)] = 1.0
    scores_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    learnt_by: Literal["this partition", "nobody knows"] | None = None
    hint: Hint | None = None
