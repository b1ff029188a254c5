"""A few light layers that must stay in floats for an int8 file to pass its gate.

First a binary search for the shortest beginning of the ranking that passes, then
each of its layers is quantised again, the one of most weights first, where the file
still passes without it: a weight in floats takes four bytes. For n layers that is
log2 n files and at most one more for each layer kept. The search takes it that a
longer beginning passes if a shorter one does; where noise breaks that, it finds a
passing set all the same, perhaps not the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ser_edge_convert.blame import Blame, blame
from ser_edge_convert.errors import RepairFailed
from ser_edge_convert.gate import Gate
from ser_edge_convert.trials import Loss, Trials

# Variants in which a layer can be left in floats.
REPAIRABLE = ("int8", "int8-io")


@dataclass(frozen=True)
class Repair:
    """What was found.

    Attributes:
        float_layers: To be left in floats, in the network's order.
        before: Loss of the file with all layers in int8.
        after: Loss of the file with these in floats.
        blame: What the search went by.
        tried: Files that were made and judged.
    """

    float_layers: tuple[str, ...]
    before: Loss
    after: Loss
    blame: Blame
    tried: int

    def to_dict(self) -> dict[str, Any]:
        """For a report, as JSON values."""
        return {
            "float_layers": list(self.float_layers),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "tried": self.tried,
            "blame": self.blame.to_dict(),
        }


def lightest(
    ranking: Sequence[str],
    passes: Callable[[frozenset[str]], bool],
    weight: Callable[[str], int] = lambda name: 0,
) -> frozenset[str] | None:
    """A small set of layers that passes; None if not even all but the last do.

    Args:
        ranking: The layers, the worst first.
        passes: Whether the file with these layers in floats is good enough; is asked
            for each set once at most.
        weight: What a layer in floats takes; where two take the same, the worse one is kept.
    """
    if passes(frozenset()):
        return frozenset()
    low, high = 0, len(ranking) - 1  # all of them would be no int8 file
    if high < 1 or not passes(frozenset(ranking[:high])):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if passes(frozenset(ranking[:middle])):
            high = middle
        else:
            low = middle
    kept = frozenset(ranking[:high])
    # The beginning without its last layer did not pass; that one stays.
    mildest_first = ranking[: high - 1][::-1]
    for name in sorted(mildest_first, key=weight, reverse=True):
        if passes(kept - {name}):
            kept -= {name}
    return kept


def repair(trials: Trials, gate: Gate, least: float) -> Repair:
    """Searches for few and light layers to leave in floats.

    Args:
        trials: On validation clips; the test part must not choose.
        gate: What the file may lose.
        least: Smallest share of clips of the same class or nearly tied: with fewer the file
            would not be what the network is.

    Raises:
        RepairFailed: No choice of layers passes.
        SerEdgeError: The child that quantises failed.
    """

    def passes(layers: frozenset[str]) -> bool:
        loss = trials.loss(layers)
        return loss.agreement >= least and gate.passed(loss.drop, loss.same)

    found = blame(trials)
    kept = lightest(found.ranking, passes, trials.weight)
    if kept is None:
        raise RepairFailed(
            f"no {len(trials.names) - 1} of the {len(trials.names)} layers in floats bring the "
            "file within the gate; try --variant dynamic, or ser-edge finetune"
        )
    return Repair(
        tuple(name for name in trials.names if name in kept),
        found.whole,
        trials.loss(kept),
        found,
        len(trials.found),
    )
