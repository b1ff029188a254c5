"""Which studies there are, and what their variants make of a recipe."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ser_edge_train.recipes import RecipeError, load_recipe, recipe_names
from ser_edge_train.recipes.augmentation import EFFECTS
from ser_edge_train.studies.augmentations import COPIES, augmentation_variants
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.conditions import (
    CUTS,
    SNRS,
    corpus_conditions,
    corpus_variants,
    length_conditions,
    noise_conditions,
    noise_variants,
)
from ser_edge_train.studies.front_ends import (
    FEATURE_SETS,
    LENGTHS,
    context_variants,
    feature_variants,
)
from ser_edge_train.studies.study import MODEL, Variant, changed

from .studied import study_recipe

CORPORA = ("one", "two")


def by_name(variants):
    found = {variant.name: variant for variant in variants}
    assert len(found) == len(variants)
    return found


def augmentation_of(recipe, variant):
    return changed(recipe, variant).augmentation.model_dump(mode="json", exclude_none=True)


# --- all of them ----------------------------------------------------------------------------


def test_the_catalogue_has_the_seven_studies():
    assert list(STUDIES) == [
        "augmentation", "features", "context", "clip-length", "noise", "corpora",
        "own",
    ]  # fmt: skip
    assert all(name == study.name for name, study in STUDIES.items())
    assert {name for name, study in STUDIES.items() if study.takes_model} == {
        "clip-length", "noise",
    }  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("recipe", recipe_names())
def test_every_shipped_emotion_recipe_bears_every_usual_variant(name, recipe):
    base = load_recipe(recipe)
    if base.target == "speaker":
        return
    study = STUDIES[name]
    refused = []
    for variant in study.variants(base, base.corpora or CORPORA):
        try:
            changed(base, variant)
        except RecipeError as fault:
            refused.append((variant.name, str(fault)))
    assert refused == []


@pytest.mark.parametrize("name", STUDIES)
def test_a_baseline_is_a_variant_or_a_condition(name):
    study = STUDIES[name]
    names = {variant.name for variant in study.variants(study_recipe(), CORPORA)}
    names |= {condition.name for condition in study.conditions(CORPORA, "")}
    assert study.baseline in names | {""}


@pytest.mark.parametrize("name", STUDIES)
def test_names_are_different_and_none_is_that_of_a_finished_model(name):
    study = STUDIES[name]
    variants = by_name(study.variants(study_recipe(), CORPORA))
    assert MODEL not in variants
    conditions = study.conditions(CORPORA, "")
    assert len({condition.name for condition in conditions}) == len(conditions)


def test_an_axis_has_values_where_it_says():
    for study in STUDIES.values():
        of_variants = [each.value for each in study.variants(study_recipe(), CORPORA)]
        of_conditions = [each.value for each in study.conditions(CORPORA, "")]
        if study.axis is None:
            assert set(of_variants + of_conditions) == {None}
        else:
            values = of_variants if study.axis.of == "variants" else of_conditions
            assert sum(value is not None for value in values) >= 5


def test_they_are_listed_without_tensorflow():
    code = (
        "import sys, json; from ser_edge_train.studies.catalogue import STUDIES;"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "matplotlib", "librosa"} & set(json.loads(done.stdout))


# --- changes --------------------------------------------------------------------------------


def test_a_change_reaches_into_tables_and_makes_those_that_are_missing():
    recipe = study_recipe(augmentation=None)
    variant = Variant("x", "", {"augmentation.mixup": {"alpha": 0.4}, "fit.optimizer.name": "adam"})
    found = changed(recipe, variant)
    assert found.augmentation.mixup.alpha == 0.4
    assert found.fit.optimizer.name == "adam"
    assert found.fit.optimizer.learning_rate == recipe.fit.optimizer.learning_rate


def test_none_takes_a_field_out_and_what_is_not_there_stays_so():
    recipe = study_recipe()
    gone = changed(recipe, Variant("x", "", {"augmentation.mixup": None, "merge.calm": None}))
    assert recipe.augmentation.mixup is not None
    assert gone.augmentation.mixup is None
    assert gone.augmentation.spec_augment == recipe.augmentation.spec_augment


def test_a_change_leaves_the_recipe_as_it_was():
    recipe = study_recipe()
    before = recipe.to_toml()
    changed(recipe, Variant("x", "", {"fit.epochs": 9}))
    assert recipe.to_toml() == before


def test_what_the_schema_refuses_names_the_variant_and_the_field():
    with pytest.raises(RecipeError, match=r"toy, variant x: fit\.epochs: .*not 0"):
        changed(study_recipe(), Variant("x", "", {"fit.epochs": 0}))
    with pytest.raises(RecipeError, match=r"variant x: fit\.speed: no such field"):
        changed(study_recipe(), Variant("x", "", {"fit.speed": 2}))


# --- augmentation ---------------------------------------------------------------------------


def test_none_has_none_and_the_recipes_own_stays():
    recipe = study_recipe()
    found = by_name(augmentation_variants(recipe, CORPORA))
    assert augmentation_of(recipe, found["none"]) == {"time_shift": 0}
    assert changed(recipe, found["recipe"]) == recipe


def test_a_recipe_without_augmentation_has_no_variant_of_its_own():
    for own in (None, {"time_shift": 0}):
        assert "recipe" not in by_name(
            augmentation_variants(study_recipe(augmentation=own), CORPORA)
        )


def test_each_stands_alone_with_the_recipes_values_or_usual_ones():
    recipe = study_recipe(augmentation__mixup={"alpha": 0.7}, augmentation__time_shift=0)
    found = by_name(augmentation_variants(recipe, CORPORA))
    own = recipe.augmentation
    assert changed(recipe, found["only-mixup"]).augmentation.mixup == own.mixup
    alone = augmentation_of(recipe, found["only-spec-augment"])
    assert alone.keys() == {"time_shift", "spec_augment"}
    assert changed(recipe, found["only-spec-augment"]).augmentation.spec_augment == own.spec_augment
    assert augmentation_of(recipe, found["only-gain-db"]) == {"time_shift": 0, "gain_db": 10.0}
    shifted = augmentation_of(recipe, found["only-time-shift"])
    assert shifted.keys() == {"time_shift"}
    assert 0 < shifted["time_shift"] < recipe.spec.output_shape[0]


def test_each_effect_stands_alone_and_an_epoch_stays_as_long():
    recipe = study_recipe()
    found = by_name(augmentation_variants(recipe, CORPORA))
    for name in set(EFFECTS) - {"recorded_noise"}:
        made = changed(recipe, found[f"only-{name.replace('_', '-')}"]).augmentation
        assert list(made.waveform.effects) == [name]
        assert (made.waveform.copies, made.waveform.use) == (COPIES["copies"], "one")
        assert made.mixup is made.spec_augment is made.gain_db is None


def test_voices_stand_behind_copies_that_are_as_they_were():
    found = by_name(augmentation_variants(study_recipe(), CORPORA))
    made = changed(study_recipe(), found["only-voices"]).augmentation
    assert found["only-voices"].summary == "voices behind copies alone"
    assert made.voices.probability == 0.3
    assert made.waveform.effects.keys() == {"gain"}
    assert made.waveform.gain.db == (0.0, 0.0)
    assert made.waveform.copies == COPIES["copies"]
    without = changed(study_recipe(), found["without-voices"]).augmentation
    assert without.voices is None
    own = {"number": [2, 2], "probability": 0.7}
    recipe = study_recipe(augmentation__waveform={"copies": 3, "pitch": {}},
                          augmentation__voices=own)  # fmt: skip
    found = by_name(augmentation_variants(recipe, CORPORA))
    made = changed(recipe, found["only-voices"]).augmentation
    assert (made.voices, made.waveform.copies) == (recipe.augmentation.voices, 3)
    assert changed(recipe, found["all"]).augmentation.voices == recipe.augmentation.voices


def test_voices_are_not_studied_where_frames_are_no_powers():
    recipe = study_recipe(front_end__features=[{"kind": "log_mel", "bands": 8}, {"kind": "zcr"}])
    found = by_name(augmentation_variants(recipe, CORPORA))
    assert not {"only-voices", "without-voices"} & found.keys()
    assert changed(recipe, found["all"]).augmentation.voices is None


def test_a_feature_set_that_voices_cannot_be_added_to_has_none_behind():
    recipe = study_recipe(front_end__clip_seconds=1.0, augmentation__voices={},
                          augmentation__waveform={"copies": 1, "gain": {}})  # fmt: skip
    for name, variant in by_name(feature_variants(recipe, CORPORA)).items():
        heard = changed(recipe, variant).augmentation.voices is not None
        assert heard is (name not in {"zcr-rms-mfcc", "mfcc-chroma-contrast", "all"}), name
        assert heard is not variant.summary.endswith("; no voices behind")


def test_recorded_noise_is_studied_where_the_recipe_says_where_it_lies():
    assert "only-recorded-noise" not in by_name(augmentation_variants(study_recipe(), CORPORA))
    table = {"copies": 3, "use": "all", "recorded_noise": {"folder": "rooms"}}
    recipe = study_recipe(augmentation__waveform=table)
    found = by_name(augmentation_variants(recipe, CORPORA))
    made = changed(recipe, found["only-recorded-noise"]).augmentation.waveform
    assert (made.copies, made.use, made.recorded_noise.folder) == (3, "all", "rooms")
    pitch = changed(recipe, found["only-pitch"]).augmentation.waveform
    assert (pitch.copies, pitch.use, list(pitch.effects)) == (3, "all", ["pitch"])


def test_all_has_every_part_and_without_lacks_one():
    recipe = study_recipe()
    found = by_name(augmentation_variants(recipe, CORPORA))
    everything = augmentation_of(recipe, found["all"])
    effects = {name for name in EFFECTS if name != "recorded_noise"}
    features = {"time_shift", "gain_db", "spec_augment", "mixup", "voices"}
    assert everything.keys() == {*features, "waveform"}
    assert everything["waveform"].keys() == {"copies", "use", *effects}
    assert all(0 < everything["waveform"][name]["probability"] < 1 for name in effects)
    lacking = augmentation_of(recipe, found["without-pitch"])
    del everything["waveform"]["pitch"]
    assert lacking == everything
    del everything["mixup"]
    assert augmentation_of(recipe, found["without-mixup"]).keys() == everything.keys()


def test_all_but_one_is_run_only_when_named():
    found = by_name(augmentation_variants(study_recipe(), CORPORA))
    for name, variant in found.items():
        assert variant.usual is not name.startswith("without-")


def test_a_part_that_the_front_end_rules_out_is_not_there():
    flat = study_recipe(
        front_end__layout="mean", front_end__level=0.05, augmentation=None,
        network={"name": "conv_stack"},
    )  # fmt: skip
    found = by_name(augmentation_variants(flat, CORPORA))
    assert not {"only-time-shift", "only-spec-augment", "only-gain-db"} & found.keys()
    assert "only-mixup" in found
    for variant in found.values():
        changed(flat, variant)


# --- features and context -------------------------------------------------------------------


def test_every_feature_set_is_a_front_end():
    recipe = study_recipe(front_end__clip_seconds=1.0)
    found = by_name(feature_variants(recipe, CORPORA))
    assert list(found) == ["recipe", *FEATURE_SETS]
    counts = {name: changed(recipe, variant).spec.feature_count for name, variant in found.items()}
    assert counts == {
        "recipe": 8, "mfcc": 40, "mfcc-delta": 80, "mfcc-deltas": 120, "zcr-rms-mfcc": 42,
        "mfcc-chroma-contrast": 59, "log-mel": 64, "log-mel-delta": 128, "all": 165,
    }  # fmt: skip
    assert changed(recipe, found["recipe"]) == recipe


def test_masks_stay_the_same_share_of_the_features():
    recipe = study_recipe()
    assert recipe.augmentation.spec_augment.frequency_width == 2
    assert recipe.spec.feature_count == 8
    found = by_name(feature_variants(recipe, CORPORA))
    masks = changed(recipe, found["mfcc-delta"]).augmentation.spec_augment
    assert masks.frequency_width == 20
    assert masks.time_width == recipe.augmentation.spec_augment.time_width


def test_feature_sets_that_a_low_rate_rules_out_are_refused_by_the_schema():
    recipe = study_recipe(front_end__sample_rate=8000)
    found = by_name(feature_variants(recipe, CORPORA))
    with pytest.raises(RecipeError, match=r"variant all: front_end: .*sample_rate / 2"):
        changed(recipe, found["all"])
    assert changed(recipe, found["mfcc"]).spec.feature_count == 40


def test_lengths_are_the_usual_ones_and_the_recipes():
    recipe = study_recipe(front_end__clip_seconds=2.5)
    found = context_variants(recipe, CORPORA)
    assert [variant.value for variant in found] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert [variant.name for variant in found] == ["0.5s", "1s", "1.5s", "2s", "2.5s", "3s"]
    for variant in found:
        assert changed(recipe, variant).spec.clip_seconds == variant.value
    assert by_name(found)["2.5s"].summary == "the recipe's own length"
    own_is_usual = context_variants(study_recipe(front_end__clip_seconds=2.0), CORPORA)
    assert [variant.value for variant in own_is_usual] == list(LENGTHS)


def test_masks_and_shifts_of_time_stay_the_same_share_of_the_clip():
    recipe = load_recipe("default")
    short = changed(recipe, by_name(context_variants(recipe, CORPORA))["0.5s"])
    own, found = recipe.augmentation, short.augmentation
    assert found.spec_augment.time_width == round(own.spec_augment.time_width / 6)
    assert found.time_shift == round(own.time_shift / 6)
    assert found.spec_augment.frequency_width == own.spec_augment.frequency_width


def test_the_length_of_a_mean_over_all_frames_is_studied_too():
    recipe = study_recipe(
        front_end__layout="mean", front_end__clip_seconds="none", augmentation=None,
        network={"name": "conv_stack"},
    )  # fmt: skip
    found = context_variants(recipe, CORPORA)
    assert [changed(recipe, each).spec.clip_seconds for each in found] == list(LENGTHS)


# --- conditions -----------------------------------------------------------------------------


def test_noise_grows_from_none_to_as_loud_as_the_speech():
    found = noise_conditions(CORPORA, "")
    assert [each.snr_db for each in found] == [None, *SNRS]
    assert SNRS[-1] == 0
    assert "white" in found[1].summary
    recorded = noise_conditions(CORPORA, "rooms")
    assert [each.recordings for each in recorded] == ["", *["rooms"] * len(SNRS)]
    assert "recorded" in recorded[1].summary


def test_noise_in_training_is_added_to_what_the_recipe_does():
    table = {"copies": 1, "use": "all", "pitch": {}, "noise": {"snr_db": [20, 30]}}
    recipe = study_recipe(augmentation__waveform=table)
    plain, noisy = noise_variants(recipe, CORPORA)
    assert changed(recipe, plain) == recipe
    made = changed(recipe, noisy).augmentation
    assert (made.waveform.copies, made.waveform.use) == (1, "all")
    assert list(made.waveform.effects) == ["pitch", "noise"]
    assert made.waveform.noise.snr_db == (0, 30)
    assert made.mixup == recipe.augmentation.mixup


def test_clips_get_shorter():
    found = length_conditions(CORPORA, "")
    assert [each.seconds for each in found] == [None, *CUTS]
    assert list(CUTS) == sorted(CUTS, reverse=True)


def test_corpora_train_alone_and_together_on_one_division():
    recipe = study_recipe(corpora=list(CORPORA))
    found = corpus_variants(recipe, CORPORA)
    made = [changed(recipe, variant) for variant in found]
    assert [each.corpora for each in made] == [("one",), ("two",), CORPORA]
    assert {each.protocol.name for each in made} == {"given"}
    assert [each.corpus for each in corpus_conditions(CORPORA, "")] == list(CORPORA)
    assert [variant.name for variant in corpus_variants(recipe, ("one",))] == ["one"]
    assert STUDIES["corpora"].one_partition
