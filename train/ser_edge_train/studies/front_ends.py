"""The studies of the front end: which features, and how long a stretch of speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ser_edge_train.recipes.augmentation import POWERS
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.studies.study import Variant

LENGTHS: Final = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Seconds of context that are compared, the recipe's own beside them."""

_MFCC: Final = {"kind": "mfcc", "bands": 64, "count": 40}
_DELTA: Final = {"kind": "delta", "of": "mfcc"}
_LOG_MEL: Final = {"kind": "log_mel", "bands": 64}
_ENVELOPE: Final = ({"kind": "zcr"}, {"kind": "rms"})
_TONES: Final = ({"kind": "chroma"}, {"kind": "spectral_contrast"})

FEATURE_SETS: Final[dict[str, tuple[str, tuple[dict[str, Any], ...]]]] = {
    "mfcc": ("40 MFCCs of 64 bands", (_MFCC,)),
    "mfcc-delta": ("MFCCs and their slopes", (_MFCC, _DELTA)),
    "mfcc-deltas": ("MFCCs, slopes, curvatures", (_MFCC, _DELTA, {**_DELTA, "order": 2})),
    "zcr-rms-mfcc": ("zero crossings, level, MFCCs", (*_ENVELOPE, _MFCC)),
    "mfcc-chroma-contrast": ("MFCCs, chroma, spectral contrast", (_MFCC, *_TONES)),
    "log-mel": ("64 log-mel bands", (_LOG_MEL,)),
    "log-mel-delta": ("log-mel bands and their slopes", (_LOG_MEL, {**_DELTA, "of": "log_mel"})),
    "all": ("all of them", (*_ENVELOPE, _MFCC, _DELTA, *_TONES, _LOG_MEL)),
}
"""What is compared with the recipe's own features: in words, and as a recipe has it."""


def feature_variants(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
    """One variant a feature set; masks of features stay the same share of them.

    Where voices cannot be added to a set's frames, nobody talks behind its copies.
    """
    variants = [Variant("recipe", "the recipe's own features")]
    width = _mask(recipe, "frequency_width")
    for name, (summary, features) in FEATURE_SETS.items():
        changes: dict[str, Any] = {"front_end.features": [dict(each) for each in features]}
        if width:
            count = _columns(recipe, changes["front_end.features"])
            scaled = max(1, round(width * count / recipe.spec.feature_count))
            changes["augmentation.spec_augment.frequency_width"] = scaled
        if recipe.augmentation.voices is not None and not POWERS.issuperset(
            each["kind"] for each in features
        ):
            changes["augmentation.voices"] = None
            summary += "; no voices behind"
        variants.append(Variant(name, summary, changes))
    return tuple(variants)


def context_variants(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
    """One variant a length; shifts and masks of time stay the same share of it."""
    own = recipe.spec.clip_seconds
    lengths = sorted({*LENGTHS, *(() if own is None else (own,))})
    variants = []
    for seconds in lengths:
        changes: dict[str, Any] = {"front_end.clip_seconds": seconds}
        width, shift = _mask(recipe, "time_width"), recipe.augmentation.time_shift
        if own is not None and width:
            scaled = max(1, round(width * seconds / own))
            changes["augmentation.spec_augment.time_width"] = scaled
        if own is not None and shift:
            changes["augmentation.time_shift"] = max(1, round(shift * seconds / own))
        summary = "the recipe's own length" if seconds == own else f"{seconds:g} seconds"
        variants.append(Variant(f"{seconds:g}s", summary, changes, value=seconds))
    return tuple(variants)


def _mask(recipe: Recipe, field: str) -> int:
    masks = recipe.augmentation.spec_augment
    return 0 if masks is None else int(getattr(masks, field))


def _columns(recipe: Recipe, features: list[dict[str, Any]]) -> int:
    """Features of a frame with other features in the recipe's front end."""
    from ser_edge_runtime.errors import SpecError
    from ser_edge_runtime.front_end.spec import FrontEndSpec

    try:
        return FrontEndSpec.from_dict(
            {"sample_rate": recipe.spec.sample_rate, "features": features}
        ).feature_count
    except SpecError:
        # The recipe's schema refuses the variant, and says why.
        return recipe.spec.feature_count
