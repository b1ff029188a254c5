"""What an int8 network loses, for any choice of layers that stay in floating point."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert import comparison
from ser_edge_convert.graph import read_graph
from ser_edge_convert.inputs import Progress
from ser_edge_convert.layers import constant_bytes
from ser_edge_convert.quantiser import Quantiser
from ser_edge_runtime.interpreter import Interpreter

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Loss:
    """What a file loses against its network on the same clips.

    Attributes:
        accuracy: Its own.
        uar: Its own.
        drop: The larger of the losses of accuracy and of UAR, as a share.
        agreement: Share of clips of the same class, near ties included.
        same: The same without near ties.
        mean_difference: Mean difference of a probability.
        max_difference: Largest difference of a probability.
    """

    accuracy: float
    uar: float
    drop: float
    agreement: float
    same: float
    mean_difference: float
    max_difference: float

    def to_dict(self) -> dict[str, float]:
        """For a report."""
        return {name: round(value, comparison.DIGITS) for name, value in vars(self).items()}


class Judge:
    """Compares files with a network on labelled clips.

    Args:
        features: Normalised, float32 (clips, ...).
        logits: What the network says of them, (clips, classes).
        labels: True classes, (clips,).
        allowed: Classes that a clip's corpus has, (clips, classes).
        corpora: Corpus of each clip.
    """

    def __init__(
        self,
        features: npt.NDArray[np.float32],
        logits: Logits,
        labels: npt.NDArray[np.int64],
        allowed: npt.NDArray[np.bool_],
        corpora: Sequence[str],
    ) -> None:
        self.features, self._logits = features, logits
        self._labels, self._allowed, self._corpora = labels, allowed, corpora
        self.before = self._scores(logits)

    def loss(self, flatbuffer: bytes) -> Loss:
        """What a file loses."""
        answers = comparison.answers(Interpreter(flatbuffer), self.features)
        after = self._scores(answers)
        found = comparison.agreement(self._logits, answers, read_graph(flatbuffer).output_quantum)
        return Loss(
            after["accuracy"],
            after["uar"],
            comparison.drop(self.before, after),
            found.share,
            found.same_share,
            found.mean_difference,
            found.max_difference,
        )

    def _scores(self, logits: Logits) -> dict[str, Any]:
        return comparison.scores(logits, self._labels, self._allowed, self._corpora)


class Trials:
    """Files of one network with different layers left in floats; each is made and judged once.

    Args:
        quantiser: Makes them.
        judge: Says what they lose.
        progress: Called with ("trying layers", done, 0) after each.
    """

    def __init__(self, quantiser: Quantiser, judge: Judge, progress: Progress) -> None:
        self.quantiser, self.judge = quantiser, judge
        self._tell = progress
        self.expected = 0
        self.found: dict[frozenset[str], Loss] = {}
        self._last: tuple[frozenset[str], bytes] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All layers that can be left in floats, in the order of the network."""
        return tuple(layer.name for layer in self.quantiser.layers)

    def weight(self, name: str) -> int:
        """Bytes of a layer's constants in floats.

        Raises:
            KeyError: No layer has this name.
        """
        layers = {layer.name: layer for layer in self.quantiser.layers}
        return constant_bytes(self.quantiser.graph, layers[name])

    def loss(self, float_layers: Collection[str]) -> Loss:
        """What the file loses that leaves these layers in floats.

        Raises:
            SerEdgeError: The child failed.
        """
        key = frozenset(float_layers)
        if key not in self.found:
            self.found[key] = self.judge.loss(self.file(key))
            self._tell("trying layers", len(self.found), max(self.expected, len(self.found)))
        return self.found[key]

    def file(self, float_layers: Collection[str]) -> bytes:
        """That file; the last one is kept, since who judges a file may want to look into it.

        Raises:
            SerEdgeError: The child failed.
        """
        key = frozenset(float_layers)
        if self._last is None or self._last[0] != key:
            self._last = key, self.quantiser.quantise(key)
        return self._last[1]
