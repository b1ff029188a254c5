"""Recipes: what they say, what they refuse, and that they survive the way through TOML."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Mfcc
from ser_edge_runtime.licences import LICENCES
from ser_edge_train import recipes
from ser_edge_train.manifest import CANONICAL_LABELS, CORPUS_LABELS
from ser_edge_train.partitions import PROTOCOLS
from ser_edge_train.recipes import (
    Recipe,
    RecipeError,
    load_recipe,
    parse_recipe,
    recipe_from_dict,
    recipe_names,
    recipe_text,
)

from .toys import toy_recipe, toy_values

NAMES = (
    "accurate",
    "cnn-lstm-4corpora",
    "cnn-lstm-ravdess",
    "cnn-lstm-ravdess-quick",
    "cnn1d-2376",
    "cnn1d-mean58",
    "cnn1d-quick",
    "default",
    "lstm-4corpora",
    "lstm-cnn-cremad",
    "open",
    "rnn-cremad",
    "small",
    "speaker-cremad",
)
# As published: some emotions are left out.
PARTIAL = {"cnn1d-mean58": 4, "cnn-lstm-ravdess": 6}


def fault_of(**changes: object) -> str:
    with pytest.raises(RecipeError) as fault:
        toy_recipe(**changes)
    message = str(fault.value)
    assert "\n" not in message
    assert message.startswith("toy.toml: ")
    return message


# --- those that come with the package -------------------------------------------------------


def test_the_recipes_are_these():
    assert recipe_names() == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_named_like_its_file_and_explains_itself(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert recipe_text(name).startswith("#")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_what_there_is(name):
    recipe = load_recipe(name)
    assert set(recipe.labels) <= set(CANONICAL_LABELS)
    assert set(recipe.merge) <= set(CANONICAL_LABELS)
    assert set(recipe.corpora) <= set(CORPUS_LABELS)
    assert recipe.protocol.name in PROTOCOLS


@pytest.mark.parametrize("name", NAMES)
def test_every_emotion_of_a_recipes_corpora_has_a_label(name):
    recipe = load_recipe(name)
    if name in PARTIAL:
        assert len(recipe.labels) == PARTIAL[name]
        return
    if recipe.target == "speaker":
        assert recipe.labels == ()
        return
    for corpus in recipe.corpora or CORPUS_LABELS:
        for emotion in CORPUS_LABELS[corpus]:
            assert recipe.merge.get(emotion, emotion) in recipe.labels


@pytest.mark.parametrize("name", NAMES)
def test_a_resolved_recipe_reads_back_equal(name):
    recipe = load_recipe(name)
    again = parse_recipe(recipe.to_toml(), "recipe.toml")
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()
    assert again.digest == recipe.digest


def test_the_default_models_recipe_is_what_its_card_says():
    recipe = load_recipe("default")
    spec = recipe.spec
    assert set(recipe.corpora) == set(CORPUS_LABELS)
    assert set(recipe.labels) == set(CANONICAL_LABELS)
    assert "calm" in recipe.labels
    assert (spec.sample_rate, spec.trim_db, spec.level, spec.clip_seconds) == (16000, 40, 0.1, 3)
    assert spec.features[0].kind == "log_mel"
    assert spec.feature_count == 64
    assert recipe.augmentation.spec_augment is not None
    # docs/model-search.md: what a network so small forgets on purpose it lacks.
    assert recipe.augmentation.mixup is None
    assert (recipe.network.dropout, recipe.network.spatial_dropout) == (0, 0)
    assert recipe.augmentation.voices is not None
    assert recipe.augmentation.waveform is not None
    assert set(recipe.augmentation.waveform.effects) == {
        "speed", "reverb", "noise", "band_limit", "codec"
    }  # fmt: skip
    assert recipe.teacher is not None
    assert recipe.teacher.hint is not None
    assert (recipe.protocol.name, recipe.protocol.fold) == ("speaker-folds", 1)


def test_the_largest_differs_from_the_default_in_the_network_alone():
    default, recipe = load_recipe("default"), load_recipe("accurate")
    differing = {"name", "summary", "network"}
    assert recipe.network != default.network
    assert recipe.model_dump(exclude=differing) == default.model_dump(exclude=differing)


def test_the_smallest_hears_no_other_voices():
    default, recipe = load_recipe("default"), load_recipe("small")
    differing = {"name", "summary", "network", "augmentation", "fit", "seed"}
    assert recipe.network != default.network
    assert recipe.model_dump(exclude=differing) == default.model_dump(exclude=differing)
    assert default.augmentation.voices is not None
    without = default.augmentation.model_copy(update={"voices": None})
    assert recipe.augmentation == without
    assert recipe.fit == default.fit.model_copy(update={"batch_size": 64})


def test_the_recipe_for_products_learns_from_the_one_corpus_that_permits_it():
    default, recipe = load_recipe("default"), load_recipe("open")
    assert [name for name, licence in LICENCES.items() if licence.commercial] == ["crema-d"]
    assert recipe.corpora == ("crema-d",)
    # Without corpora to weigh against each other it repeats none.
    assert recipe.fit == default.fit.model_copy(
        update={"corpus_repeats": recipe.fit.corpus_repeats}
    )
    differing = {"name", "summary", "corpora", "labels", "fit"}
    assert recipe.model_dump(exclude=differing) == default.model_dump(exclude=differing)


def test_reading_recipes_imports_no_keras():
    code = (
        "import sys\n"
        "from ser_edge_train.recipes import load_recipe, recipe_names\n"
        "import ser_edge_train.dataset, ser_edge_train.augmentation, ser_edge_train.run_directory\n"
        "import ser_edge_train.training, ser_edge_train.checkpoint\n"
        "[load_recipe(name) for name in recipe_names()]\n"
        "sys.exit(', '.join({'keras', 'tensorflow'} & set(sys.modules)) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- files ----------------------------------------------------------------------------------


def test_a_copied_file_is_the_recipe(tmp_path):
    copied = tmp_path / "mine.toml"
    copied.write_text(recipe_text("cnn1d-quick"), encoding="utf-8")
    assert load_recipe(copied) == load_recipe("cnn1d-quick")
    assert load_recipe(str(copied)) == load_recipe("cnn1d-quick")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(RecipeError, match=r"^no-such: no such recipe; known are .*default"):
        load_recipe("no-such")


def test_a_name_is_never_a_path_out_of_the_package():
    for name in ("../recipes/cnn1d-quick", "cnn1d-quick/", "", "schema.py"):
        with pytest.raises(RecipeError, match="no such recipe"):
            load_recipe(name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot be read \(No such file"):
        load_recipe(tmp_path / "absent.toml")


def test_a_folder_is_no_recipe(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(RecipeError, match=r"folder\.toml: cannot be read"):
        load_recipe(tmp_path / "folder.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(RecipeError, match=r"bad\.toml: not UTF-8"):
        load_recipe(path)


def test_a_fault_of_the_toml_names_the_line():
    with pytest.raises(RecipeError, match=r"^mine\.toml: not TOML: .*line 2"):
        parse_recipe('name = "a"\nlabels = ]\n', "mine.toml")


def test_an_error_of_a_recipe_is_the_users_option():
    assert RecipeError("a", "b", "c").exit_code == 2


# --- fields ---------------------------------------------------------------------------------


def test_defaults_are_written_out():
    values = tomllib.loads(toy_recipe().to_toml())
    assert values["fit"]["optimizer"]["momentum"] == 0.0
    assert values["front_end"]["hop_length"] == 160
    assert values["network"]["kernel"] == 5


def test_what_is_left_out_stays_out():
    recipe = toy_recipe(fit__early_stopping=None, augmentation=None)
    assert recipe.fit.early_stopping is None
    assert "early_stopping" not in recipe.to_toml()
    assert recipe.augmentation.mixup is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fit__epochs": 0}, "fit.epochs: input should be greater than or equal to 1, not 0"),
        ({"fit__epochs": None}, "fit.epochs: is missing"),
        ({"fit__epochs": "3"}, "fit.epochs: input should be a valid integer, not '3'"),
        ({"fit__epochs": True}, "fit.epochs: input should be a valid integer"),
        ({"fit__epoch": 3}, "fit.epoch: no such field"),
        ({"fit__batch_size": 0}, "fit.batch_size"),
        ({"fit__monitor": "uar"}, "fit.monitor: input should be 'val_uar' or 'val_loss'"),
        ({"fit__label_smoothing": 1.0}, "fit.label_smoothing"),
        ({"fit__class_weights": "even"}, "fit.class_weights"),
        ({"fit__corpus_weights": {"tess": 0.0}}, "fit.corpus_weights.tess"),
        ({"fit__optimizer__name": "lion"}, "fit.optimizer.name"),
        ({"fit__optimizer__learning_rate": 0.0}, "fit.optimizer.learning_rate"),
        ({"fit__optimizer__learning_rate": float("nan")}, "fit.optimizer.learning_rate"),
        ({"fit__optimizer__momentum": 0.9}, "fit.optimizer: adamw has no momentum to set"),
        ({"fit__schedule": {"warmup_epochs": 1}}, "fit.schedule: warmup_epochs needs"),
        ({"fit__schedule": {"name": "cosine"}}, "fit: schedule 'cosine' and reduce_learning_rate"),
        (
            {
                "fit__schedule": {"name": "cosine", "warmup_epochs": 5},
                "fit__reduce_learning_rate": None,
            },
            "fit: schedule.warmup_epochs must be fewer than epochs",
        ),
        ({"fit__early_stopping": {}}, "fit.early_stopping.patience: is missing"),
        ({"fit__reduce_learning_rate__factor": 1.0}, "fit.reduce_learning_rate.factor"),
        ({"labels": ["angry"]}, "labels: "),
        ({"labels": ["angry", "angry"]}, "labels: one stands twice"),
        ({"labels": ["angry", 3]}, "labels.1: input should be a valid string, not 3"),
        ({"labels": "angry"}, "labels: "),
        ({"corpora": ["tess", "tess"]}, "corpora: one stands twice"),
        ({"merge": {"calm": "neutral"}}, "merge.calm: 'neutral' is not among labels"),
        ({"merge": {"sad": "angry"}}, "merge.sad: 'sad' is a label itself"),
        ({"name": "No Name"}, "name: "),
        ({"name": "../up"}, "name: "),
        ({"seed": -1}, "seed: "),
        ({"seed": 2**32}, "seed: "),
        ({"protocol__fold": 0}, "protocol.fold: "),
        (
            {"network": {"name": "mlp"}},
            "network.name: 'mlp' is none of cnn1d, cnn2d, cnn_lstm, conv_stack, ds_cnn",
        ),
        ({"network": {}}, "network.name: None is none of"),
        ({"network": "cnn1d"}, "network: "),
        ({"network__kernel": 0}, "network.kernel: input should be greater than or equal to 1"),
        ({"network__units": [3]}, "network.units: no such field"),
        ({"network": {"name": "ds_cnn", "channels": [4]}}, "network: 1 channels but 7 strides"),
        ({"front_end__hop": 3}, "front_end: unknown field 'hop'"),
        ({"front_end__hop_length": 0}, "front_end: hop_length must be"),
        ({"front_end__features": []}, "front_end: features must be"),
        ({"front_end": "log_mel"}, "front_end: a table of fields is expected"),
        ({"front_end__clip_seconds": "none"}, "front_end: clip_seconds is None"),
        ({"front_end__layout": "mean"}, "augmentation: spec_augment and time_shift need"),
        ({"augmentation__spec_augment__time_width": 22}, "time_width: at most the 21 frames"),
        ({"augmentation__spec_augment__frequency_width": 9}, "frequency_width: at most the 8"),
        ({"augmentation__mixup": {"alpha": 0}}, "augmentation.mixup.alpha"),
    ],
)
def test_a_fault_names_its_field(changes, expected):
    assert expected in fault_of(**changes)


def test_none_is_a_word_in_toml():
    recipe = toy_recipe(
        front_end__trim_db="none",
        front_end__features=[{"kind": "log_mel", "bands": 8, "top_db": "none", "norm": "none"}],
    )
    feature = recipe.spec.features[0]
    assert recipe.spec.trim_db is None
    assert isinstance(feature, LogMel)
    assert feature.top_db is None
    assert feature.norm == "none"
    again = parse_recipe(recipe.to_toml(), "recipe.toml")
    assert again.spec == recipe.spec


def test_equal_front_ends_written_differently_are_equal_recipes():
    short = toy_recipe()
    long = toy_recipe(front_end__sample_rate=16000, front_end__level="none")
    assert short == long
    assert short.digest == long.digest


@given(
    spec=st.builds(
        FrontEndSpec,
        hop_length=st.integers(80, 400),
        trim_db=st.none() | st.floats(1, 90),
        level=st.none() | st.floats(0.01, 1),
        layout=st.sampled_from(["sequence", "flat", "mean"]),
        features=st.tuples(
            st.builds(Mfcc, count=st.integers(1, 20), bands=st.just(32),
                      top_db=st.none() | st.floats(1, 120),
                      norm=st.sampled_from(["none", "slaney"])),
        ),
    ),
)  # fmt: skip
def test_any_front_end_survives_toml(spec):
    recipe = toy_recipe(front_end=spec.to_dict(), augmentation=None)
    assert parse_recipe(recipe.to_toml(), "recipe.toml").spec == spec


def test_no_field_is_read_by_nothing():
    """A field that can be set must be in the resolved text, or nobody could see what was used."""
    text = recipe_from_dict(toy_values(fit__corpus_weights={"tess": 0.5}), "t").to_toml()
    for name in Recipe.model_fields:
        left_out = ("target", "speaker_embedding", "teacher", "fine_tuning", "published")
        if name not in ("corpora", "merge", "summary", *left_out):
            assert name in text
    assert "tess = 0.5" in text


def test_recipe_files_have_unix_lines_and_no_machines_paths():
    for name in recipe_names():
        text = (Path(recipes.__file__).parent / f"{name}.toml").read_bytes()
        assert b"\r" not in text
        assert b"/home" not in text


def test_a_file_of_another_name_is_told_what_recipes_end_in(tmp_path, monkeypatch):
    path = tmp_path / "mine.txt"
    path.write_text(recipe_text("cnn1d-quick"))
    with pytest.raises(RecipeError, match=r"mine\.txt: is no recipe file; name one that ends in"):
        load_recipe(path)
    # A folder that happens to have a recipe's name hides none.
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_recipe("default").name == "default"
