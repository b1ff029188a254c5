"""The table ``[protocol]`` of a recipe: which clips train, validate and test."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from ser_edge_train.recipes.table import Table

Corpus = Annotated[str, Field(min_length=1, max_length=64)]


class _Protocol(Table):
    fold: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the protocol's function takes beside fold and seed."""
        return self.model_dump(exclude={"name", "fold", "seed"})


class _OneFold(_Protocol):
    _vary: ClassVar[str] = "vary the seed"

    @model_validator(mode="after")
    def _one_fold(self) -> Self:
        if self.fold != 1:
            raise ValueError(f"fold: there is one division, no fold {self.fold}; {self._vary}")
        return self


class SpeakerDisjoint(_OneFold):
    """Each speaker in one part, by shares of 70, 15 and 15 %.

    Attributes:
        fold: 1: there is one division for each seed.
        seed: Chooses the speakers; left out: the recipe's.
    """

    name: Literal["speaker-disjoint"] = "speaker-disjoint"


class SpeakerFolds(_Protocol):
    """Each speaker in one part; five folds, the published ones of known corpora.

    Attributes:
        fold: From 1 to 5.
        seed: Deals the speakers of other corpora; left out: the recipe's.
    """

    name: Literal["speaker-folds"] = "speaker-folds"


class LeaveOneSpeakerOut(_Protocol):
    """One speaker is tested.

    Attributes:
        fold: Which one: corpora and their speakers in the order of their names.
        seed: Chooses who validates; left out: the recipe's.
        corpus: Whose speakers are left out in turn; "": those of all corpora.
    """

    name: Literal["leave-one-speaker-out"] = "leave-one-speaker-out"
    corpus: Annotated[str, Field(max_length=64)] = ""


class SentenceDisjoint(_Protocol):
    """Each speaker and each sentence in one part.

    Attributes:
        fold: From 1 to 5.
        seed: Deals the sentences, and the speakers of unknown corpora; left out: the recipe's.
    """

    name: Literal["sentence-disjoint"] = "sentence-disjoint"


class CrossCorpus(_OneFold):
    """Whole corpora are tested, the recipe's others train and validate.

    Attributes:
        fold: 1: there is one division.
        seed: Chooses who validates; left out: the recipe's.
        test_corpora: The corpora that are tested.
    """

    _vary: ClassVar[str] = "name other test_corpora"

    name: Literal["cross-corpus"] = "cross-corpus"
    test_corpora: Annotated[tuple[Corpus, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.test_corpora)) != len(self.test_corpora):
            raise ValueError("test_corpora: one stands twice")
        return self


class _ByChance(_Protocol):
    folds: Annotated[int, Field(ge=2, le=1000)] = 5

    @model_validator(mode="after")
    def _fold_is_one_of_them(self) -> Self:
        if self.fold > self.folds:
            raise ValueError(f"fold: there is no fold {self.fold} of {self.folds}")
        return self


class Random(_ByChance):
    """Clips divided by chance, stratified by corpus and emotion. It leaks speakers.

    Attributes:
        fold: From 1 to ``folds``.
        seed: Of the dealing; left out: the recipe's.
        folds: How many; fold n tests the n-th, and an eighth of the rest validates.
    """

    name: Literal["random"] = "random"


class AugmentThenSplit(_ByChance):
    """As :class:`Random`, of the clips and the copies that augmentation.waveform makes of them.

    It leaks speakers, and the recordings themselves.

    Attributes:
        fold: As there.
        seed: As there.
        folds: As there.
    """

    name: Literal["augment-then-split"] = "augment-then-split"


class Given(_OneFold):
    """The parts stand in a file that was named when the training began, and now in the run.

    Attributes:
        fold: 1.
        seed: Of no use.
    """

    _vary: ClassVar[str] = "give another partition"

    name: Literal["given"] = "given"


Protocol = (
    SpeakerDisjoint
    | SpeakerFolds
    | LeaveOneSpeakerOut
    | SentenceDisjoint
    | CrossCorpus
    | Random
    | AugmentThenSplit
    | Given
)

PROTOCOL_NAMES: Final = tuple(table.model_fields["name"].default for table in get_args(Protocol))
"""The names that the table may have."""
