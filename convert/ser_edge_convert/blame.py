"""Which layers of a network an int8 file loses its answers in.

Three questions, from coarse to fine. Is it the weights or the activations
(:mod:`ser_edge_convert.imitation`)? How far is each layer's output from what it
should be, when that layer alone is quantised and when all are? And what does each
layer cost: the loss with it alone in int8, and the loss that is saved when it alone
stays in floats. The two differ where layers err together: scales that grow in one
layer and are undone in the next ruin both, and neither alone in floats saves anything.
A layer's cost is the mean of both: what it adds as the first of all and as the last,
the two ends of its Shapley value. It is counted in probabilities, which tell small
faults apart where classes do not flip yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ser_edge_convert import comparison
from ser_edge_convert.imitation import with_rounded_activations, with_rounded_weights
from ser_edge_convert.layers import Layer
from ser_edge_convert.tensor_errors import TensorError, activations
from ser_edge_convert.trials import Loss, Trials

BLAME_VERSION = 1
# Sums over so many clips' activations no longer move the second digit of a decibel.
ERROR_CLIPS = 64


@dataclass(frozen=True)
class Suspect:
    """A layer and what it costs.

    Attributes:
        layer: Which.
        own: Error of its output when it alone is quantised; None where its output
            has no counterpart.
        arrived: The same when all layers are quantised.
        alone: Loss of the file in which it alone is quantised.
        spared: Loss of the file in which it alone is not.
        cost: Mean difference of a probability that it adds; see the module.
        recovered: Loss of accuracy or UAR that is gone when it stays in floats, as a share.
    """

    layer: Layer
    own: TensorError | None
    arrived: TensorError | None
    alone: Loss
    spared: Loss
    cost: float
    recovered: float

    def to_dict(self) -> dict[str, Any]:
        """For a report."""
        return {
            "name": self.layer.name,
            "kind": self.layer.kind,
            "operators": len(self.layer.operators),
            "own_error": None if self.own is None else self.own.to_dict(),
            "arrived_error": None if self.arrived is None else self.arrived.to_dict(),
            "alone_in_int8": self.alone.to_dict(),
            "alone_in_float": self.spared.to_dict(),
            "cost": round(self.cost, comparison.DIGITS),
            "recovered": round(self.recovered, comparison.DIGITS),
        }


@dataclass(frozen=True)
class Blame:
    """What came out.

    Attributes:
        before: The network's own scores.
        whole: Loss with all layers in int8.
        weights: Loss with rounded weights and float activations.
        activations: Loss with float weights and rounded activations.
        suspects: Every layer, in the network's order.
    """

    before: dict[str, Any]
    whole: Loss
    weights: Loss
    activations: Loss
    suspects: tuple[Suspect, ...]

    @property
    def ranking(self) -> tuple[str, ...]:
        """Names of the layers, the one that costs most first."""
        ordered = sorted(self.suspects, key=lambda s: (-s.cost, s.layer.name))
        return tuple(suspect.layer.name for suspect in ordered)

    @property
    def ranking_by_accuracy(self) -> tuple[str, ...]:
        """The same by what is recovered of accuracy or UAR when the layer stays in floats."""
        ordered = sorted(self.suspects, key=lambda s: (-s.recovered, -s.cost, s.layer.name))
        return tuple(suspect.layer.name for suspect in ordered)

    def to_dict(self) -> dict[str, Any]:
        """For a report, as JSON values."""
        return {
            "blame_version": BLAME_VERSION,
            "before": self.before,
            "int8": self.whole.to_dict(),
            "weights_only": self.weights.to_dict(),
            "activations_only": self.activations.to_dict(),
            "layers": [suspect.to_dict() for suspect in self.suspects],
            "ranking": list(self.ranking),
            "ranking_by_accuracy": list(self.ranking_by_accuracy),
        }


def blame(trials: Trials) -> Blame:
    """Measures a network's layers on the clips of ``trials``.

    Raises:
        SerEdgeError: The child that quantises failed.
    """
    quantiser, judge, names = trials.quantiser, trials.judge, trials.names
    trials.expected = 2 * len(names) + 1
    whole = trials.loss(())
    quantised = trials.file(())
    chosen = np.linspace(0, len(judge.features) - 1, min(ERROR_CLIPS, len(judge.features)))
    clips = np.asarray(judge.features[np.unique(chosen.round().astype(int))])
    outputs = {layer.name: _name(trials, layer) for layer in quantiser.layers}
    exact = activations(quantiser.calibrated, clips, outputs.values())
    arrived = activations(quantised, clips, outputs.values())
    suspects = []
    for layer in quantiser.layers:
        others = frozenset(names) - {layer.name}
        tensor = outputs[layer.name]
        alone = trials.loss(others)
        own = activations(trials.file(others), clips, [tensor])
        spared = trials.loss({layer.name})
        suspects.append(
            Suspect(
                layer,
                _error(exact, own, tensor),
                _error(exact, arrived, tensor),
                alone,
                spared,
                (alone.mean_difference + whole.mean_difference - spared.mean_difference) / 2,
                whole.drop - spared.drop,
            )
        )
    return Blame(
        judge.before,
        whole,
        judge.loss(with_rounded_weights(quantiser.calibrated)),
        judge.loss(with_rounded_activations(quantiser.calibrated, quantised)),
        tuple(suspects),
    )


def _name(trials: Trials, layer: Layer) -> str:
    return trials.quantiser.graph.tensors[layer.output].name


def _error(exact: dict[str, Any], other: dict[str, Any], name: str) -> TensorError | None:
    if name not in exact or name not in other:
        return None
    return TensorError.between(exact[name], other[name])
