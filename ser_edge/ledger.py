"""Entering scores of a test part in the ledger of scored test parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ser_edge.scores import part_rows

if TYPE_CHECKING:
    from ser_edge_runtime.model_file import Metadata
    from ser_edge_train.run_directory import RunDirectory


class Scored(NamedTuple):
    """What was scored: the model, and how it was made.

    Attributes:
        recipe: Name of the recipe.
        protocol: Name of its protocol.
        fold: Fold of it.
        seed: Of the training.
        network: SHA-256 of the trained network, in hex.
        manifest: Digest of the manifest.
        partition: Digest of the partition.
    """

    recipe: str
    protocol: str
    fold: int
    seed: int
    network: str
    manifest: str
    partition: str


def enter(ledger: Path, scored: Scored, scores: Mapping[str, Any]) -> int:
    """Enters the scores of a test part, a row a corpus and one over all.

    Args:
        ledger: The table; made when it is not there.
        scored: What was scored.
        scores: As :func:`ser_edge_train.evaluation.score` gives them.

    Returns:
        How many rows were added; none if the same model was entered before.

    Raises:
        AlreadyScored: The recipe's test part was scored with another model.
        ScoringsError: The ledger cannot be read.
    """
    from ser_edge_train.scorings import Scoring, append_scoring

    groups = {**scores["corpora"], "all": scores["overall"]}
    return append_scoring(
        ledger,
        [
            Scoring(
                *scored,
                corpus=row.corpus,
                classes=row.classes,
                clips=row.clips,
                speakers=row.speakers,
                accuracy=row.accuracy,
                uar=row.uar,
                macro_f1=groups[row.corpus]["macro_f1"],
            )
            for row in part_rows("test", scores)
        ],
    )


def check_scored(ledger: Path, scored: Scored) -> None:
    """Makes sure that a model's test part may be scored, before anything looks at it.

    Args:
        ledger: The table; it may not be there yet.
        scored: The model, and how it was made.

    Raises:
        AlreadyScored: The recipe's test part was scored with another model.
        ScoringsError: The ledger cannot be read.
    """
    from ser_edge_train.scorings import check_unscored

    asked = (scored.recipe, scored.protocol, scored.fold, scored.seed, scored.partition)
    check_unscored(ledger, asked, scored.network)


def check_run(ledger: Path, run: RunDirectory) -> None:
    """Makes sure that a run's test part may be scored, before anything looks at it.

    Args:
        ledger: The table; it may not be there yet.
        run: A run whose network is trained.

    Raises:
        AlreadyScored: The recipe's test part was scored with another network.
        ScoringsError: The ledger cannot be read.
        SerEdgeError: The run's files cannot be read.
    """
    from hashlib import sha256

    from ser_edge_train.partitions import Partition
    from ser_edge_train.scorings import check_unscored

    recipe = run.read_recipe()
    asked = (
        recipe.name,
        recipe.protocol.name,
        recipe.protocol.fold,
        recipe.seed,
        Partition.read(run.partition).digest,
    )
    check_unscored(ledger, asked, sha256(run.model.read_bytes()).hexdigest())


def enter_report(ledger: Path, report: Mapping[str, Any]) -> int:
    """Enters the test scores of a run's report; see :func:`enter`."""
    digests = report["digests"]
    scored = Scored(
        report["recipe"]["name"],
        report["protocol"]["name"],
        report["protocol"]["fold"],
        report["seed"],
        digests["model"],
        digests["manifest"],
        digests["partition"],
    )
    return enter(ledger, scored, report["scores"]["test"])


def scored_by(metadata: Metadata, manifest: str, partition: str) -> Scored | None:
    """What a model file says of its making; None where it says too little for the ledger."""
    found = metadata.provenance
    try:
        scored = Scored(
            found["recipe"]["name"],
            found["protocol"]["name"],
            found["protocol"]["fold"],
            found["seed"],
            found["network"],
            manifest,
            partition,
        )
    except (KeyError, TypeError):
        return None
    texts = (scored.recipe, scored.protocol, scored.network)
    numbers = (scored.fold, scored.seed)
    fits = all(type(t) is str for t in texts) and all(type(n) is int for n in numbers)
    return scored if fits else None
