"""The network and its converted file on the same clips: same function, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.errors import ConversionMismatch
from ser_edge_convert.variants import Variant
from ser_edge_runtime.delegates import NONE
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train import metrics

Logits = npt.NDArray[np.float32]

DIGITS = 6
PLAIN_CLIPS = 32


@dataclass(frozen=True)
class Agreement:
    """How far two sets of answers to the same clips are the same.

    Attributes:
        clips: How many were compared.
        same: On how many both name the same class.
        near_ties: On how many they differ, but one holds the two classes within
            two quanta of its output, so that rounding decides.
        max_difference: Largest difference of a probability.
        mean_difference: Mean difference of the probabilities.
        widest_gap: Of the clips that differ and are no near ties, how far apart the
            probabilities of the two classes are at most, in the set of answers that
            holds them closer; 0 where there are none.
    """

    clips: int
    same: int
    near_ties: int
    max_difference: float
    mean_difference: float
    widest_gap: float = 0.0

    @property
    def share(self) -> float:
        """Share of clips that are the same or nearly tied; 1 without clips."""
        return (self.same + self.near_ties) / self.clips if self.clips else 1.0

    @property
    def same_share(self) -> float:
        """Share of clips of the same class, near ties counted as different; 1 without clips."""
        return self.same / self.clips if self.clips else 1.0

    def to_dict(self) -> dict[str, Any]:
        """For a report."""
        return {
            "clips": self.clips,
            "same": self.same,
            "near_ties": self.near_ties,
            "share": round(self.share, DIGITS),
            "max_difference": round(self.max_difference, DIGITS),
            "mean_difference": round(self.mean_difference, DIGITS),
            "widest_gap": round(self.widest_gap, DIGITS),
        }


def answers(
    interpreter: Interpreter,
    features: npt.NDArray[np.float32],
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Logits:
    """A file's logits of clips, (clips, classes), each clip from a state of zeros.

    Args:
        interpreter: Runs the file.
        features: Normalised, float32 (clips, ...); may be a memory map.
        told: Called with (done, total) after each clip.
    """
    rows = []
    for done, clip in enumerate(features, start=1):
        interpreter.reset()
        rows.append(interpreter.invoke(np.asarray(clip)))
        told(done, len(features))
    return np.array(rows, np.float32)


def agreement(before: Logits, after: Logits, quantum: float) -> Agreement:
    """Compares two sets of logits (clips, classes) over all classes.

    Args:
        before: The reference.
        after: The others, in the same order.
        quantum: Step of the quantised output in units of a logit; 0 for floats.
    """
    if not len(before):
        return Agreement(0, 0, 0, 0.0, 0.0)
    same = before.argmax(axis=1) == after.argmax(axis=1)
    # The small share covers how sums round: kernels add up in different orders.
    within = gaps(before, after) <= 2 * quantum + 1e-5 * np.abs(before).max()
    tied = ~same & within
    one, other = probabilities(before), probabilities(after)
    differences = np.abs(one - other)
    return Agreement(
        len(before),
        int(same.sum()),
        int(tied.sum()),
        float(differences.max()),
        float(differences.mean()),
        float(gaps(one, other)[~same & ~tied].max(initial=0.0)),
    )


def gaps(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How far apart the classes are that two sets of answers (clips, classes) name.

    Of each clip, in the answers' unit and in the set that holds them closer: (clips,), 0 where
    both name the same.
    """
    rows, first, second = np.arange(len(before)), before.argmax(axis=1), after.argmax(axis=1)
    one, other = (np.abs(of[rows, first] - of[rows, second]) for of in (before, after))
    return np.asarray(np.minimum(one, other))


def check_same_function(path: str, variant: Variant, found: Agreement) -> None:
    """Refuses a file that runs and is something else.

    Raises:
        ConversionMismatch: Too few clips agree, or a probability differs by more
            than the variant's rounding explains.
    """
    if found.share < variant.agreement:
        raise ConversionMismatch(
            f"{path}: the {variant.name} file runs but names the network's class on only "
            f"{100 * found.share:.0f} % of {found.clips} clips; it was not kept; {_other(variant)}"
        )
    if variant.max_difference is not None and found.max_difference > variant.max_difference:
        raise ConversionMismatch(
            f"{path}: the {variant.name} file runs but a probability differs from the network's "
            f"by {found.max_difference:.4f}, more than {variant.max_difference}; it was not kept; "
            f"{_other(variant)}"
        )


def check_plain_kernels(
    path: str, variant: Variant, flatbuffer: bytes, features: Logits, after: Logits, quantum: float
) -> None:
    """Refuses a file that TensorFlow Lite's own kernels answer otherwise than XNNPACK's.

    Args:
        path: What the message names.
        variant: The file's.
        flatbuffer: The file's graph.
        features: Clips, (clips, ...), of which at most 32 are asked, evenly chosen.
        after: Their logits, all of them, as XNNPACK gives them, (clips, classes).
        quantum: As for :func:`agreement`.

    Raises:
        ConversionMismatch: A quarter or more is of another class, near ties not counted.
    """
    if not len(after):
        return
    chosen = np.unique(np.linspace(0, len(after) - 1, PLAIN_CLIPS).astype(int))
    plain = answers(Interpreter(flatbuffer, delegate=NONE), features[chosen])
    found = agreement(after[chosen], plain, quantum)
    other = found.clips - found.same - found.near_ties
    if 4 * other >= found.clips:
        raise ConversionMismatch(
            f"{path}: without XNNPACK, as on 32-bit ARM, the {variant.name} file names another "
            f"class on {other} of {found.clips} clips; it was not kept; {_other(variant)}"
        )


def scores(
    logits: Logits,
    labels: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.bool_],
    corpora: Sequence[str],
) -> dict[str, Any]:
    """Accuracy and UAR over all clips and for each corpus.

    Args:
        logits: (clips, classes).
        labels: True classes (clips,).
        allowed: Classes that a clip's corpus has, (clips, classes); answers are among them.
        corpora: Corpus of each clip.
    """
    answers = metrics.masked_argmax(logits, allowed)
    names = np.asarray(corpora)

    def of(rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
        counts = metrics.confusion(labels[rows], answers[rows], logits.shape[1])
        return {
            "clips": int(rows.sum()),
            "accuracy": round(float(metrics.accuracy(counts)), DIGITS),
            "uar": round(float(metrics.uar(counts)), DIGITS),
        }

    return of(np.ones(len(labels), dtype=np.bool_)) | {
        "corpora": {name: of(names == name) for name in sorted(set(corpora))}
    }


def drop(before: dict[str, Any], after: dict[str, Any]) -> float:
    """What was lost: the larger of the losses of accuracy and of UAR; negative for a gain."""
    losses = [float(before[name]) - float(after[name]) for name in ("accuracy", "uar")]
    return round(max(losses), DIGITS)


def probabilities(logits: Logits) -> npt.NDArray[np.float64]:
    """Softmax over the classes, in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _other(variant: Variant) -> str:
    if variant.name == "float32":
        return "report it with the network as a fault of ser-edge"
    repair = "--repair or " if variant.name in ("int8", "int8-io") else ""
    return f"try {repair}--variant {'dynamic' if variant.calibrated else 'float32'}"
