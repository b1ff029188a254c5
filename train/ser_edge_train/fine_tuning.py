"""Quantisation-aware fine-tuning: what it starts from, and that nothing leaks on the way.

The training itself is that of any recipe (:mod:`ser_edge_train.training`); a recipe
with a table [fine_tuning] begins with another run's network.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes.schema import Recipe, recipe_from_dict
from ser_edge_train.run_directory import RunDirectory

if TYPE_CHECKING:
    from ser_edge_train.plan import Plan

EPOCHS = 8
# A small step: the network is to move to weights that int8 can hold, not to be trained anew.
RATE_SHARE = 0.1


class FineTuningError(FileError):
    """A run whose network cannot be fine-tuned; says why."""


def fine_tuning_recipe(
    source: RunDirectory, *, epochs: int = EPOCHS, learning_rate: float | None = None
) -> Recipe:
    """The recipe of a run, changed so that it goes on from the run's network.

    Args:
        source: A run whose training has ended.
        epochs: The most; the one with the best validation score is kept.
        learning_rate: At its largest, from where it falls to zero on a cosine; None
            takes a tenth of the run's own.

    Raises:
        FineTuningError: The run has no network, or it was fine-tuned itself.
        RecipeError: A value is out of range.
    """
    recipe = source.read_recipe()
    if recipe.fine_tuning is not None:
        raise FineTuningError(
            source.path,
            "was fine-tuned already",
            f"fine-tune what it came from: {recipe.fine_tuning.run}",
        )
    values = recipe.model_dump(mode="json", exclude_none=True)
    fit = values["fit"]
    fit["epochs"] = epochs
    rate = fit["optimizer"]["learning_rate"]
    fit["optimizer"]["learning_rate"] = (
        RATE_SHARE * rate if learning_rate is None else learning_rate
    )
    fit["schedule"] = {"name": "cosine"}
    fit.pop("early_stopping", None)
    fit.pop("reduce_learning_rate", None)
    values["fine_tuning"] = {
        "run": os.fspath(source.path),
        "network_sha256": _network_digest(source),
    }
    return recipe_from_dict(values, recipe.name)


def starting_run(plan: Plan) -> RunDirectory | None:
    """The run whose network a training begins with; None if it begins anew.

    Raises:
        FineTuningError: It is gone or another one, hears other features, or was trained
            on a partition whose training part is not this one's.
        RunError: It cannot be read.
    """
    asked = plan.recipe.fine_tuning
    if asked is None:
        return None
    source = RunDirectory.open(asked.run)
    if _network_digest(source) != asked.network_sha256:
        raise FineTuningError(
            source.path,
            "its network is not the one that this training began with",
            "fine-tune it anew in another folder",
        )
    theirs = source.read_recipe()
    for name, what in (("spec", "front end"), ("labels", "labels"), ("network", "network")):
        if getattr(theirs, name) != getattr(plan.recipe, name):
            raise FineTuningError(
                source.path, f"differs in its {what}", "fine-tune it with its own recipe"
            )
    # Its network has heard its training speakers: in another partition they might test.
    if Partition.read(source.partition).digest != plan.partition.digest:
        raise FineTuningError(
            source.path,
            "was trained on another partition",
            "fine-tune it with its own protocol, fold and recordings",
        )
    return source


def starting_normaliser(source: RunDirectory) -> Normaliser:
    """The normaliser that the run's network expects.

    Raises:
        FineTuningError: It cannot be read.
    """
    try:
        return Normaliser.from_json(source.normaliser.read_text(encoding="utf-8"))
    except OSError as fault:
        raise FineTuningError(
            source.normaliser, f"cannot be read ({fault.strerror})", "train the run anew"
        ) from None


def _network_digest(source: RunDirectory) -> str:
    try:
        return hashlib.sha256(source.model.read_bytes()).hexdigest()
    except OSError:
        raise FineTuningError(
            source.path, "holds no trained model (no model.keras)", "finish it by train --resume"
        ) from None
