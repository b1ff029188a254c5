"""The studies that score a run on changed validation clips: noise, cuts, other corpora."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ser_edge_train.studies.study import Condition, Variant, as_recorded

if TYPE_CHECKING:
    from ser_edge_train.recipes.schema import Recipe

SNRS: Final = (30, 20, 15, 10, 5, 0)
"""In dB, beside clips without noise."""

NOISY: Final = "in noise"
NOISY_DB: Final = 10.0
"""What a study of one's own scores beside clips as recorded, where noise is given."""

CUTS: Final = (3.0, 2.5, 2.0, 1.5, 1.0, 0.5)
"""In seconds, beside whole clips."""

WHITE: Final = {"snr_db": [0.0, 30.0]}


def noise_conditions(corpora: Sequence[str], recordings: str) -> tuple[Condition, ...]:
    """Clean clips, then clips with ever more noise."""
    kind = "recorded" if recordings else "white"
    noisy = (
        Condition(f"{snr} dB", f"{kind} noise {snr} dB below the speech", float(snr), float(snr),
                  recordings)
        for snr in SNRS
    )  # fmt: skip
    return (Condition("clean", "without noise"), *noisy)


def own_conditions(corpora: Sequence[str], recordings: str) -> tuple[Condition, ...]:
    """Validation clips as they are and, with recordings of noise, with those behind them too."""
    clean = as_recorded(corpora, recordings)
    if not recordings:
        return clean
    summary = f"recorded noise {NOISY_DB:g} dB below the speech"
    return (*clean, Condition(NOISY, summary, snr_db=NOISY_DB, recordings=recordings))


def noise_variants(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
    """The recipe, and the recipe with white noise on copies of its training clips."""
    waveform = recipe.augmentation.waveform
    heard = {} if waveform is None else waveform.model_dump(mode="json", exclude_none=True)
    with_noise = {"copies": 2, "use": "one", **heard, "noise": WHITE}
    return (
        Variant("recipe", "the recipe as it is"),
        Variant(
            "noise-trained",
            "trained with white noise at 0 to 30 dB, too",
            {"augmentation.waveform": with_noise},
        ),
    )


def length_conditions(corpora: Sequence[str], recordings: str) -> tuple[Condition, ...]:
    """Whole clips, then ever shorter middles of them."""
    cuts = (
        Condition(f"{seconds:g} s", f"the middle {seconds:g} seconds", seconds, seconds=seconds)
        for seconds in CUTS
    )
    return (Condition("whole", "the whole clip"), *cuts)


def corpus_conditions(corpora: Sequence[str], recordings: str) -> tuple[Condition, ...]:
    """The validation speakers of each corpus."""
    return tuple(Condition(name, f"validation speakers of {name}", corpus=name) for name in corpora)


def corpus_variants(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
    """One variant for each corpus that trains alone, one for all together."""
    # One division for all of them: whom one variant validates on, another must not train on.
    given = {"protocol": {"name": "given"}}
    alone = [
        Variant(name, f"trained on {name} alone", {"corpora": [name], **given}) for name in corpora
    ]
    together = Variant("all-corpora", "trained on all corpora", {"corpora": list(corpora), **given})
    return (*alone, together) if len(alone) > 1 else tuple(alone)
