"""A recipe: all that a training hangs on but the recordings, in one frozen value."""

from __future__ import annotations

import hashlib
from os import PathLike, fspath
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, ValidationError, field_validator, model_validator

from ser_edge_runtime.errors import FileError, SpecError
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_runtime.wording import LONGEST_SHOWN, shown
from ser_edge_train.networks.parameters import NETWORKS, Parameters
from ser_edge_train.recipes.augmentation import Augmentation
from ser_edge_train.recipes.fine_tuning import FineTuning
from ser_edge_train.recipes.fit import Fit
from ser_edge_train.recipes.protocol import (
    PROTOCOL_NAMES,
    AugmentThenSplit,
    CrossCorpus,
    Given,
    LeaveOneSpeakerOut,
    Protocol,
    Random,
)
from ser_edge_train.recipes.published import Published
from ser_edge_train.recipes.speaker import SpeakerEmbedding
from ser_edge_train.recipes.table import Table
from ser_edge_train.recipes.teacher import Hint, Teacher
from ser_edge_train.toml_text import NotToml, parse_toml

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Label = Annotated[str, Field(min_length=1, max_length=64)]

_OF_A_FOLD = {
    "protocol": {"fold", "seed"},
    "teacher": {"scores", "scores_sha256", "note"},
    "fine_tuning": {"run", "network_sha256"},
    "speaker_embedding": {"run", "network_sha256"},
}


_HINT = "see the recipes that come with ser-edge"


class RecipeError(FileError):
    """A recipe that cannot be used; names the file, the field and the fault."""

    exit_code = 2


class Recipe(Table):
    """A whole training, as a TOML file says it. Immutable; threads may share it.

    Attributes:
        name: Its name, as a file name without the suffix.
        summary: One line for lists.
        corpora: Which of a manifest's corpora are used; empty means all.
        sex: "mixed", or the one sex whose speakers alone train and are scored.
        target: "speaker" makes the training speakers the classes; left out: emotions are.
        labels: The classes, in the order of the network's outputs. Those of target
            "speaker" are left out, and filled in when the training begins.
        merge: Emotions that count as another label, as calm = "neutral".
        seed: Of the weights, the order, the augmentation and seeded protocols.
        protocol: Its name, fold and options; see :mod:`ser_edge_train.recipes.protocol`.
        front_end: Fields of a FrontEndSpec, all of them once the recipe is read. TOML
            has no null: "none" stands for it.
        network: The name and the parameters of a network.
        speaker_embedding: See :class:`~ser_edge_train.recipes.speaker.SpeakerEmbedding`;
            left out: none.
        teacher: See :class:`~ser_edge_train.recipes.teacher.Teacher`; left out: none.
        fine_tuning: See :class:`~ser_edge_train.recipes.fine_tuning.FineTuning`; left out:
            the training begins with random weights.
        augmentation: See :class:`Augmentation`.
        fit: See :class:`Fit`.
        published: Figures that others printed for such a system; left out: none.
    """

    name: Name
    summary: Annotated[str, Field(max_length=400)] = ""
    corpora: Annotated[tuple[str, ...], Field(strict=False)] = ()
    sex: Literal["mixed", "female", "male"] = "mixed"
    target: Literal["speaker"] | None = None
    labels: Annotated[tuple[Label, ...], Field(strict=False, max_length=10_000)] = ()
    merge: dict[str, Label] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    protocol: Annotated[Protocol, Field(discriminator="name")]
    front_end: dict[str, Any]
    network: Annotated[Parameters, Field(discriminator="name")]
    speaker_embedding: SpeakerEmbedding | None = None
    teacher: Teacher | None = None
    fine_tuning: FineTuning | None = None
    augmentation: Augmentation = Augmentation()
    fit: Fit
    published: Annotated[tuple[Published, ...], Field(strict=False)] | None = None

    @field_validator("front_end", mode="before")
    @classmethod
    def _whole_front_end(cls, values: Any) -> dict[str, Any]:
        try:
            spec = FrontEndSpec.from_dict(_none_from_word(values))
            _ = spec.output_shape
        except (SpecError, TypeError) as fault:
            raise ValueError(str(fault).removeprefix("front end: ")) from None
        return _none_to_word(spec.to_dict())  # type: ignore[no-any-return]

    @model_validator(mode="after")
    def _labels_agree(self) -> Recipe:
        if self.target is None and len(self.labels) < 2:
            raise ValueError("labels: at least two are needed")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: one stands twice")
        if len(set(self.corpora)) != len(self.corpora):
            raise ValueError("corpora: one stands twice")
        for emotion, label in self.merge.items():
            if label not in self.labels:
                raise ValueError(f"merge.{emotion}: {label!r} is not among labels")
            if emotion in self.labels:
                raise ValueError(f"merge.{emotion}: {emotion!r} is a label itself")
        return self

    @model_validator(mode="after")
    def _speakers_fit(self) -> Recipe:
        if self.target == "speaker":
            if self.network.name != "tdnn":
                raise ValueError("target: 'speaker' needs network.name = 'tdnn'")
            if isinstance(self.protocol, Random | AugmentThenSplit | Given):
                raise ValueError("target: 'speaker' needs a protocol that keeps speakers apart")
            if self.merge:
                raise ValueError("merge: there are no emotions with target = 'speaker'")
            if self.speaker_embedding is not None:
                raise ValueError("speaker_embedding: target = 'speaker' makes one, and takes none")
            if self.teacher is not None:
                raise ValueError("teacher: there are no emotions with target = 'speaker'")
        if self.speaker_embedding is not None and len(self.spec.output_shape) == 1:
            raise ValueError("speaker_embedding: needs front_end.layout = 'sequence'")
        return self

    @model_validator(mode="after")
    def _protocol_fits(self) -> Recipe:
        protocol, corpora = self.protocol, self.corpora
        named: tuple[str, ...] = ()
        if isinstance(protocol, CrossCorpus):
            named = protocol.test_corpora
            if corpora and not set(corpora) - set(named):
                raise ValueError("protocol.test_corpora: no corpus is left to train on")
        elif isinstance(protocol, LeaveOneSpeakerOut) and protocol.corpus:
            named = (protocol.corpus,)
        for corpus in named:
            if corpora and corpus not in corpora:
                raise ValueError(f"protocol: {corpus!r} is not among corpora")
        if isinstance(protocol, AugmentThenSplit) and self.augmentation.waveform is None:
            raise ValueError("protocol: augment-then-split needs a table augmentation.waveform")
        return self

    @model_validator(mode="after")
    def _augmentation_fits(self) -> Recipe:
        self.augmentation.check(self.spec)
        return self

    @property
    def spec(self) -> FrontEndSpec:
        """The front end as the runtime's value."""
        return FrontEndSpec.from_dict(_none_from_word(self.front_end))

    @property
    def network_parameters(self) -> dict[str, Any]:
        """The network's parameters without its name."""
        return self.network.model_dump(exclude={"name"})

    @property
    def hint(self) -> Hint | None:
        """Its teacher's hint, if it has one."""
        return None if self.teacher is None else self.teacher.hint

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that differs from the defaults.

        Not of :meth:`to_toml`: a field that a later release adds, left at its default,
        would give every older run another recipe.
        """
        said = self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        # Each network's and each protocol's name is its table's own default.
        said["network"]["name"] = self.network.name
        said["protocol"]["name"] = self.protocol.name
        if self.teacher is not None:
            said["teacher"].pop("note", None)
        if self.teacher is not None and self.teacher.scores_sha256 is not None:
            # Wherever the table lies, it is what it holds.
            del said["teacher"]["scores"]
            if self.teacher.hint is not None:
                del said["teacher"]["hint"]["embeddings"]
        if self.fine_tuning is not None:
            del said["fine_tuning"]["run"]
        return hashlib.sha256(tomli_w.dumps(said).encode()).hexdigest()

    def to_toml(self) -> str:
        """The recipe as resolved, every default written out; equal recipes give equal text."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    @property
    def common(self) -> dict[str, Any]:
        """Plain values of all that the folds and seeds of one recipe have in common.

        What a fold builds on was made for that fold (its teacher's scores, the network that
        it goes on from, its speaker embedding), so that where it lies and its digest are left
        out; how it is used is not.
        """
        values = self.model_dump(mode="json", exclude_none=True)
        del values["seed"]
        for name, own in _OF_A_FOLD.items():
            if name in values:
                values[name] = {key: it for key, it in values[name].items() if key not in own}
        return values

    @property
    def partition_seed(self) -> int:
        """The seed of the protocol: its own, or else the recipe's."""
        return self.seed if self.protocol.seed is None else self.protocol.seed

    def resolved(
        self,
        *,
        labels: tuple[str, ...] | None = None,
        network_sha256: str | None = None,
        teacher: dict[str, Any] | None = None,
    ) -> Recipe:
        """A copy with what a training found out: its speakers, digests of what it builds on."""
        changes: dict[str, Any] = {} if labels is None else {"labels": labels}
        if network_sha256 is not None and self.speaker_embedding is not None:
            found = {"network_sha256": network_sha256}
            changes["speaker_embedding"] = self.speaker_embedding.model_copy(update=found)
        if teacher is not None and self.teacher is not None:
            changes["teacher"] = self.teacher.model_copy(update=teacher)
        return self.model_copy(update=changes)

    def with_changes(
        self,
        *,
        fold: int | None = None,
        seed: int | None = None,
        epochs: int | None = None,
        sex: str | None = None,
        protocol: str | None = None,
        speaker_embedding: str | None = None,
        teacher: str | None = None,
        hint: str | None = None,
        **options: Any,
    ) -> Recipe:
        """A copy with what is not None changed, checked like a file.

        Args:
            fold: Of the protocol.
            seed: The recipe's own.
            epochs: The most of the fit.
            sex: Whose speakers are used.
            protocol: Name of another protocol; the options, the fold and the seed that
                belong to the recipe's own go with it.
            speaker_embedding: Run directory of another speaker embedding; how it is joined
                stays as it is.
            teacher: Table of another teacher's scores; weight and temperature stay.
            hint: File of other embeddings that the teacher's scores come with; how they are
                learnt stays.
            **options: Of the protocol.

        Raises:
            RecipeError: A value is out of range.
        """
        values = self.model_dump(mode="json", exclude_none=True)
        if protocol not in (None, self.protocol.name):
            values["protocol"] = {"name": protocol}
        if speaker_embedding is not None:
            joined = values.setdefault("speaker_embedding", {})
            joined.pop("network_sha256", None)
            joined["run"] = speaker_embedding
        if teacher is not None:
            taught = values.setdefault("teacher", {})
            for found_out in ("scores_sha256", "learnt_by"):
                taught.pop(found_out, None)
            taught["scores"] = teacher
        if hint is not None:
            if "teacher" not in values:
                fault = "teacher.hint: without a teacher there is no hint"
                raise RecipeError(self.name, fault, "name its scores too: --teacher SCORES")
            hinted = values["teacher"].setdefault("hint", {})
            hinted.pop("embeddings_sha256", None)
            hinted["embeddings"] = hint
        for table, key, value in (
            (values["protocol"], "fold", fold),
            (values, "seed", seed),
            (values, "sex", sex),
            (values["fit"], "epochs", epochs),
            *((values["protocol"], key, value) for key, value in options.items()),
        ):
            if value is not None:
                table[key] = value
        return recipe_from_dict(values, self.name)


def parse_recipe(text: str, name: str | PathLike[str]) -> Recipe:
    """Reads a recipe from TOML.

    Args:
        text: The file's content.
        name: The file's name, for errors.

    Raises:
        RecipeError: It is not TOML or not a recipe.
    """
    try:
        values = parse_toml(text)
    except NotToml as fault:
        raise RecipeError(name, str(fault), fault.remedy) from None
    return recipe_from_dict(values, name)


def recipe_from_dict(values: dict[str, Any], name: str | PathLike[str]) -> Recipe:
    """Checks plain values and makes a recipe of them.

    Raises:
        RecipeError: A field is missing, unknown or out of range; the first one is named.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as faults:
        raise _one_line(faults, name) from None
    except RecursionError:
        raise RecipeError(name, "a table is nested too deeply", _HINT) from None


def _one_line(faults: ValidationError, name: str | PathLike[str]) -> RecipeError:
    fault = faults.errors()[0]
    where = [shown_key(part) for part in fault["loc"]]
    if where[:1] in (["network"], ["protocol"]) and len(where) > 1:
        del where[1]  # pydantic names the variant it chose, which no file has
    field = ".".join(where) + ": " if where else ""
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"].startswith("union_tag"):
        given = fault["input"].get("name") if isinstance(fault["input"], dict) else None
        names = PROTOCOL_NAMES if where[0] == "protocol" else NETWORKS
        field, message = f"{where[0]}.name: ", f"{given!r} is none of {', '.join(sorted(names))}"
    elif fault["type"] == "extra_forbidden":
        message = "no such field"
    elif fault["type"] == "missing":
        message = "is missing"
    elif fault["type"] != "value_error" and isinstance(fault["input"], str | int | float):
        message = f"{message[:1].lower()}{message[1:]}, not {shown(fault['input'])}"
    return RecipeError(fspath(name), f"{field}{message}", _HINT)


def shown_key(part: str | int) -> str:
    """A part of a field's place as an error shows it."""
    text = str(part)
    return text if text.isprintable() and len(text) <= LONGEST_SHOWN else shown(text)


def _none_to_word(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _none_to_word(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_none_to_word(item) for item in value]
    return "none" if value is None else value


def _none_from_word(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _none_from_word(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_none_from_word(item) for item in value]
    # "norm" has a value of that name: filters of unit height.
    return None if value == "none" and key != "norm" else value
