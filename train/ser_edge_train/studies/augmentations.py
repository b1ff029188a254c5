"""The study of augmentation: each kind alone, each left out of all, all and none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ser_edge_train.recipes.augmentation import EFFECTS, POWERS
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.studies.study import Variant

COPIES: Final[dict[str, Any]] = {"copies": 2, "use": "one"}
"""Changed copies where the recipe names none: an epoch stays as long as without them."""

TOGETHER: Final = 0.3
"""Probability of each effect where all are done: a copy that has them all is no speech."""

STILL: Final[dict[str, Any]] = {"gain": {"db": [0.0, 0.0]}}
"""An effect that changes nothing: voices talk behind copies, and copies have effects."""


def augmentation_variants(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
    """Variants whose table ``augmentation`` is made of parts that are on or off.

    A part that the recipe has keeps the recipe's values. Those that the front end rules
    out are not among them.
    """
    own = recipe.augmentation.model_dump(mode="json", exclude_none=True)
    features = _of_features(recipe, own)
    effects = _effects(own)
    copies = {key: own.get("waveform", COPIES)[key] for key in COPIES}
    variants = [Variant("none", "no augmentation", {"augmentation": None})]
    if own not in ({}, {"time_shift": 0}):
        variants.append(Variant("recipe", "the recipe's own augmentation"))
    for name, value in features.items():
        behind = {"waveform": {**copies, **STILL}} if name == "voices" else {}
        variants.append(_variant("only", name, {name: value, **behind}))
    for name, value in effects.items():
        variants.append(_variant("only", name, {"waveform": {**copies, name: value}}))
    variants.append(
        Variant("all", "all of them", {"augmentation": _all(features, effects, copies)})
    )
    for left_out in (*features, *effects):
        kept = _all(_without(features, left_out), _without(effects, left_out), copies)
        variants.append(_variant("without", left_out, kept, usual=False))
    return tuple(variants)


def _of_features(recipe: Recipe, own: dict[str, Any]) -> dict[str, Any]:
    """What is done to features, with the recipe's values or usual ones."""
    shape = recipe.spec.output_shape
    usual: dict[str, Any] = {}
    if len(shape) == 2:
        frames, columns = shape
        usual["time_shift"] = max(1, frames // 12)
        usual["spec_augment"] = {
            "time_masks": 2,
            "time_width": max(1, frames // 10),
            "frequency_masks": 2,
            "frequency_width": max(1, columns // 8),
        }
    if recipe.spec.level is None:
        usual["gain_db"] = 10.0
    usual["mixup"] = {"alpha": 0.2, "probability": 0.5}
    if POWERS.issuperset(each.kind for each in recipe.spec.features):
        usual["voices"] = {"probability": TOGETHER}
    # No shift is a shift of 0, which the recipe always names.
    return {name: own.get(name) or value for name, value in usual.items()}


def _effects(own: dict[str, Any]) -> dict[str, Any]:
    """The effects on waveforms; recorded noise only where the recipe says where it lies."""
    table = own.get("waveform", {})
    return {
        name: table.get(name, {}) for name in EFFECTS if name in table or name != "recorded_noise"
    }


def _all(
    features: dict[str, Any], effects: dict[str, Any], copies: dict[str, Any]
) -> dict[str, Any]:
    together = {name: {"probability": TOGETHER, **value} for name, value in effects.items()}
    return {**features, "waveform": {**copies, **together}}


def _without(table: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != name}


def _variant(how: str, name: str, table: dict[str, Any], *, usual: bool = True) -> Variant:
    words = name.replace("_", "-")
    what = f"{words} of waveforms" if name in EFFECTS else f"{words} of features"
    if name == "voices":
        what = "voices behind copies"
    summary = f"{what} alone" if how == "only" else f"all but {what}"
    return Variant(f"{how}-{words}", summary, {"augmentation": table}, usual=usual)
