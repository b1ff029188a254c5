"""A voice that was enrolled: what one model answered on clips of one speaker.

It holds no sound and no feature, and is of use with that one model alone.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.enrolment import FEWEST, lean, trust
from ser_edge_runtime.errors import FileError, SerEdgeError
from ser_edge_runtime.metadata import unique_names
from ser_edge_runtime.records import record
from ser_edge_runtime.wording import counted

if TYPE_CHECKING:
    from ser_edge_runtime.classifier import Result
    from ser_edge_runtime.metadata import Metadata

FORMAT = 1
MOST_CLIPS = 1000
LEAST = -100.0
"""Logarithms of probabilities are cut off here, so that no clip weighs without bound."""

_LARGEST_FILE = 1 << 20
_LONGEST_NAME = 40
_FIELDS = {"format", "name", "model", "labels", "answers"}


class VoiceNameError(SerEdgeError, ValueError):
    """A name that cannot be a file's."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:_LONGEST_NAME]!r} is no name of a voice; take up to {_LONGEST_NAME} letters, "
            "digits, - and _, a letter or digit first"
        )


class TooFewClips(SerEdgeError):
    """An enrolment that would not help."""

    def __init__(self, name: str, clips: int) -> None:
        super().__init__(
            f"{name}: {counted(clips, 'clip is', 'clips are')} too few to enrol a "
            f"voice; give {FEWEST} or more, in which it sounds different"
        )


class TooManyClips(SerEdgeError):
    """An enrolment that needs no further clip."""

    def __init__(self, name: str, clips: int) -> None:
        super().__init__(
            f"{name}: {clips} clips are more than a voice may have; give at most {MOST_CLIPS}"
        )


class VoiceFileError(FileError):
    """A voice's file that is damaged, or none."""

    def __init__(self, path: str | PathLike[str], fault: str) -> None:
        super().__init__(path, fault, "enrol the voice anew with: ser-edge enrol")


class OtherModel(SerEdgeError):
    """A voice that was enrolled with another model."""

    def __init__(self, name: str, model: str) -> None:
        super().__init__(
            f"{name} was enrolled with another model than {model}; "
            "name that one with --model, or enrol the voice with this one too"
        )


@record(eq=False)
class Voice:
    """A speaker, as one model hears him or her. Immutable; threads may share it.

    Attributes:
        name: The speaker's name; normalised to Unicode's NFC.
        model: :func:`model_digest` of the model.
        labels: Its classes.
        answers: Natural logarithms of its probabilities on each clip, float32
            (clips, classes), -100 to 0.

    Raises:
        VoiceNameError: The name has other characters than letters, digits, - and _.
        ValueError: The answers are no logarithms of probabilities.
    """

    name: str
    model: str
    labels: tuple[str, ...]
    answers: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_name(self.name))
        values = np.array(self.answers, np.float32)
        if values.ndim != 2 or values.shape[1] != len(self.labels):
            raise ValueError(f"{values.shape} answers do not fit {len(self.labels)} classes")
        if not 1 <= len(values) <= MOST_CLIPS:
            raise ValueError(f"{len(values)} clips; 1 to {MOST_CLIPS} are a voice")
        # Rounding leaves sums a little off 1; so does cutting at LEAST.
        fair = np.isfinite(values).all() and values.min() >= LEAST and values.max() <= 0
        if not fair or abs(np.exp(values.astype(np.float64)).sum(axis=1) - 1).max() > 1e-3:
            raise ValueError("answers are not logarithms of probabilities that sum to 1")
        values.flags.writeable = False
        object.__setattr__(self, "answers", values)

    @classmethod
    def enrolled(
        cls,
        name: str,
        metadata: Metadata,
        results: Iterable[Result],
        before: Voice | None = None,
    ) -> Voice:
        """The voice of clips to which a model gave these results.

        A clip that is given twice, known by equal probabilities, counts once.

        Args:
            name: The speaker's name.
            metadata: The model's.
            results: One for each clip as a whole, from a classifier that knows no voice.
            before: What was enrolled of this voice already, with the same model.

        Raises:
            VoiceNameError: As the class.
            TooFewClips: There are fewer clips than help.
            TooManyClips: There are more than a voice may have.
            ValueError: Results or voice are another model's.
        """
        name, labels, digest = checked_name(name), metadata.labels, model_digest(metadata)
        rows = []
        for result in results:
            if tuple(result.scores) != labels:
                raise ValueError(f"a result has the classes {', '.join(result.scores)}")
            rows.append(list(result.scores.values()))
        answers = _logarithms(np.array(rows, np.float64).reshape(-1, len(labels)))
        if before is not None:
            if (before.model, before.labels) != (digest, labels):
                raise ValueError(f"{before.name} was enrolled with another model")
            answers = np.concatenate([before.answers, answers])
        _, first = np.unique(answers, axis=0, return_index=True)
        if len(first) < FEWEST:
            raise TooFewClips(name, len(first))
        if len(first) > MOST_CLIPS:
            raise TooManyClips(name, len(first))
        return cls(name, digest, labels, answers[np.sort(first)])

    @property
    def clips(self) -> int:
        """How many clips were enrolled."""
        return len(self.answers)

    @property
    def heard(self) -> dict[str, int]:
        """How many of the clips each class is the most probable one of, in label order."""
        counts = np.bincount(self.answers.argmax(axis=1), minlength=len(self.labels))
        return dict(zip(self.labels, counts.tolist(), strict=True))

    @property
    def trust(self) -> float:
        """The share of the correction that is applied, below 1 where the clips sound alike."""
        return trust(self.answers)

    @property
    def lean(self) -> npt.NDArray[np.float64]:
        """What is added to the logarithms of the model's probabilities, (classes,)."""
        return lean(self.answers)

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`to_json`, in hex."""
        return sha256_hex(self.to_json().encode())

    def check_model(self, metadata: Metadata, name: str) -> None:
        """Makes sure that this voice belongs to a model.

        Args:
            metadata: The model's.
            name: Names the model in the error.

        Raises:
            OtherModel: It does not.
        """
        if (self.model, self.labels) != (model_digest(metadata), metadata.labels):
            raise OtherModel(self.name, name)

    def to_json(self) -> str:
        """The canonical JSON: equal voices give equal text."""
        values = {
            "format": FORMAT,
            "name": self.name,
            "model": self.model,
            "labels": list(self.labels),
            "answers": self.answers.tolist(),
        }
        return json.dumps(
            values, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, data: bytes, path: str | PathLike[str]) -> Voice:
        """Reads what :meth:`to_json` wrote, strictly.

        Args:
            data: The text, in UTF-8.
            path: Names the file in errors.

        Raises:
            VoiceFileError: It is damaged, too large, of a later format, or something else.
        """
        if len(data) > _LARGEST_FILE:
            raise VoiceFileError(path, "too large for a voice")
        try:
            values = json.loads(data.decode("utf-8"), object_pairs_hook=unique_names)
        except (ValueError, RecursionError):
            raise VoiceFileError(path, "not a voice (no JSON)") from None
        if not isinstance(values, dict) or type(values.get("format")) is not int:
            raise VoiceFileError(path, "not a voice")
        if values["format"] != FORMAT:
            raise VoiceFileError(path, f"written in another format than {FORMAT}")
        try:
            return cls(**_checked(values))
        except (ValueError, VoiceNameError) as fault:
            raise VoiceFileError(path, f"not a voice ({str(fault)[:100]})") from None


def checked_name(name: str) -> str:
    """A voice's name in Unicode's NFC.

    Raises:
        VoiceNameError: It is empty, too long, or has a character that a file's name better lacks.
    """
    plain = unicodedata.normalize("NFC", name)
    fine = 0 < len(plain) <= _LONGEST_NAME and plain[0].isalnum()
    if not fine or not all(letter.isalnum() or letter in "-_" for letter in plain):
        raise VoiceNameError(name)
    return plain


def model_digest(metadata: Metadata) -> str:
    """SHA-256, in hex, of all that decides a model's answers; its scores and words do not."""
    parts = (
        metadata.flatbuffer_sha256,
        metadata.front_end.digest,
        metadata.normaliser.to_json(),
        repr(float(metadata.temperature)),
    )
    return sha256_hex("\n".join(parts).encode())


def _logarithms(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    logs = np.log(np.maximum(probabilities, math.exp(LEAST)))
    return np.clip(logs, LEAST, 0).astype(np.float32)


def _is_text(value: Any) -> bool:
    """Whether a JSON value is text that a file can hold: escapes may name halves of characters."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if set(values) != _FIELDS:
        raise ValueError("other fields than a voice's")
    labels, rows = values["labels"], values["answers"]
    if not isinstance(labels, list) or not labels or not all(map(_is_text, labels)):
        raise ValueError("labels are no list of names")
    if len(set(labels)) < len(labels):
        raise ValueError("a label stands twice")
    if not all(_is_text(values[name]) for name in ("name", "model")):
        raise ValueError("name and model are no text")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError("answers are no table")
    if not all(len(row) == len(labels) for row in rows):
        raise ValueError("answers are no table of the labels")
    # Before float32 could overflow, of which numpy warns.
    if not all(type(cell) in (int, float) and LEAST <= cell <= 0 for row in rows for cell in row):
        raise ValueError("answers are no logarithms of probabilities")
    return {
        "name": values["name"],
        "model": values["model"],
        "labels": tuple(labels),
        "answers": np.array(rows, np.float32).reshape(-1, len(labels)),
    }
