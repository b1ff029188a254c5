"""What a study is: variants of a recipe, conditions under which each run is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from ser_edge_runtime.errors import FileError, SerEdgeError

if TYPE_CHECKING:
    from ser_edge_train.recipes.schema import Recipe

MODEL: Final = "model"
"""The one variant of a study that scores a finished model."""


class StudyError(FileError):
    """A folder or a file that a study cannot use as asked."""


class StudyRefused(SerEdgeError):
    """A study that cannot be made of these options."""

    exit_code = 2


@dataclass(frozen=True)
class Variant:
    """A recipe's variant. Immutable; threads may share it.

    Attributes:
        name: Of its folder, and in tables.
        summary: What it is, in a few words.
        changes: Values by dotted fields of the recipe, done in this order; None takes
            a field out.
        value: Its place on the study's axis; None where it has none.
        usual: False for one that is run only when it is named.
    """

    name: str
    summary: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    usual: bool = True


@dataclass(frozen=True)
class Condition:
    """How validation clips are changed before a finished run is scored on them.

    Attributes:
        name: In tables.
        summary: What it is, in a few words.
        value: Its place on the study's axis; None where it has none.
        snr_db: Mean power of a clip over that of the noise added to it; None: none is.
        recordings: Folder of recordings that the noise is taken from; "": it is white.
        seconds: The most that is left of a clip's middle; None: all.
        corpus: The only corpus scored, over the classes that training had too; "": all
            corpora, each over its own classes.
    """

    name: str
    summary: str
    value: float | None = None
    snr_db: float | None = None
    recordings: str = ""
    seconds: float | None = None
    corpus: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


AS_RECORDED: Final = Condition("as recorded", "whole clips, without noise")


def as_recorded(corpora: Sequence[str], recordings: str) -> tuple[Condition, ...]:
    """Validation clips as they are."""
    return (AS_RECORDED,)


@dataclass(frozen=True)
class Axis:
    """An ordered quantity that a study varies.

    Attributes:
        name: As a picture's axis is labelled.
        of: Whether it is that of the variants or that of the conditions.
    """

    name: str
    of: Literal["variants", "conditions"]


@dataclass(frozen=True)
class Study:
    """A question and how it is answered. Immutable; threads may share it.

    Attributes:
        name: As people type it.
        question: One line.
        method: What is compared, in a sentence or two.
        variants: From a recipe and the names of its corpora to the variants.
        conditions: From those names and a folder of recorded noise ("": none) to the
            conditions under which every run is scored.
        axis: What is varied, if it is ordered.
        baseline: The variant or the condition that differences are taken to; "": none.
        takes_model: Whether a finished model can be studied instead of new trainings.
        one_partition: Whether every variant divides the clips as the recipe does for all
            corpora together.
        strict: Whether a usual variant that the recipe does not bear is an error, and not
            merely left out: somebody wrote it for this recipe.
    """

    name: str
    question: str
    method: str
    variants: Callable[[Recipe, Sequence[str]], tuple[Variant, ...]]
    conditions: Callable[[Sequence[str], str], tuple[Condition, ...]] = as_recorded
    axis: Axis | None = None
    baseline: str = ""
    takes_model: bool = False
    one_partition: bool = False
    strict: bool = False


def the_recipe(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
    """The recipe as it is, as the only variant."""
    return (Variant("recipe", "the recipe as it is"),)


_PINNED = {
    "teacher.scores": "scores_sha256",
    "teacher.hint.embeddings": "embeddings_sha256",
}


def changed(recipe: Recipe, variant: Variant) -> Recipe:
    """The recipe that a variant is, checked like a file.

    Raises:
        RecipeError: The recipe does not bear the change; names the field.
    """
    from ser_edge_train.recipes import recipe_from_dict

    values = recipe.model_dump(mode="json", exclude_none=True)
    for path, value in variant.changes.items():
        *tables, key = path.split(".")
        table = values
        for name in tables:
            table = table.setdefault(name, {})
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
        # What was pinned is the file that the recipe named before.
        if path in _PINNED:
            table.pop(_PINNED[path], None)
    return recipe_from_dict(values, f"{recipe.name}, variant {variant.name}")
