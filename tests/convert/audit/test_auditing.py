"""The audit as a whole, on toy graphs that three folds answer with."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ser_edge_convert.audit import Limits, audit
from ser_edge_convert.audit.auditing import largest, worst_class
from ser_edge_convert.audit.measuring import spread_evenly
from ser_edge_convert.errors import AuditRefused, ConversionRefused
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Manifest
from ser_edge_train.predictions import softmax
from tests.convert.audit import toys


def of(document, variant):
    return next(one for one in document["variants"] if one["variant"] == variant)


def test_it_pools_the_folds(document):
    assert document["clips"] == document["answers"] == 72
    assert document["speakers"] == 6
    assert [one["run"] for one in document["references"]] == ["fold-1", "fold-2", "fold-3"]
    assert document["corpora"] == ["toy"]
    assert document["separation"] == {
        "speaker_disjoint": True,
        "unnamed_clips": 0,
        "calibration": ["not calibrated", "training speakers"],
    }


def test_the_float_file_answers_as_the_network(document):
    found = of(document, "float32")
    assert found["passed"]
    assert found["agreement"]["share"] == 1.0
    assert found["flips"] == []
    assert found["probabilities"]["max_difference"] < 1e-6
    assert found["drops"]["uar"] == {"value": 0.0, "interval": [0.0, 0.0]}
    assert found["scores"]["uar"] == document["reference"]["uar"]


def test_the_int8_file_flips_near_ties_and_fails(document, world):
    found = of(document, "int8-io")
    assert not found["passed"]
    assert not document["passed"]
    flips = found["flips"]
    assert 0 < len(flips) == found["agreement"]["clips"] - found["agreement"]["same"]
    assert all(flip["near_tie"] for flip in flips)
    margins = np.sort(softmax(world.logits, toys.TEMPERATURE), axis=1)
    lead = dict(
        zip(
            [clip.stem for clip in world.manifest.clips], margins[:, 2] - margins[:, 1], strict=True
        )
    )
    for flip in flips:
        assert flip["margin_before"] == pytest.approx(lead[flip["stem"]], abs=1e-6)


def test_what_a_file_is(document, models):
    files = of(document, "int8-io")["files"]
    assert [one["fold"] for one in files] == [1, 2, 3]
    assert files[0]["bytes"] == models["int8-io"][0].stat().st_size
    assert files[0]["operators"] == {"FULLY_CONNECTED": 1, "MEAN": 1}
    assert files[0]["arena_bytes"] == 96
    assert len(files[0]["calibration"]) == 64
    assert files[0]["float_layers"] == []
    assert of(document, "float32")["files"][0]["calibration"] is None


def test_it_is_plain_json_and_the_same_again(document, runs, models, store):
    text = json.dumps(document, allow_nan=False)
    paths = [path for of_variant in reversed(models.values()) for path in reversed(of_variant)]
    again = audit(paths, runs, store=store, timed_clips=0)
    assert json.dumps(again, allow_nan=False) == text
    assert str(runs[0].path.parent) not in text


def test_times_are_split(runs, models, store):
    found = audit(models["float32"][:1], runs[:1], store=store, timed_clips=4)
    latency = found["variants"][0]["latency"]
    assert latency["clips"] == 4
    assert latency["features_ms"] > 0
    assert latency["model_ms"] > 0
    assert found["machine"]["threads"] == 1


def test_workers_give_the_same_answers(runs, models, store, document):
    (found,) = audit(models["int8-io"][:1], runs[:1], store=store, timed_clips=0, processes=2)[
        "variants"
    ]
    flips = [flip for flip in of(document, "int8-io")["flips"] if flip["run"] == "fold-1"]
    assert found["flips"] == flips
    assert found["agreement"]["clips"] == 24


def test_limits_decide(runs, models, store):
    limits = Limits(max_drop=1, max_drop_upper=1, min_agreement=0)
    found = audit(models["int8-io"], runs, store=store, timed_clips=0, limits=limits)
    assert found["passed"]
    assert found["limits"] == limits.to_dict()


def test_it_says_how_far_it_is(runs, models, store):
    seen = []
    audit(
        models["float32"][:1],
        runs[:1],
        store=store,
        timed_clips=0,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert ("features", 24, 24) in seen
    assert seen[-1] == ("float32 answers", 24, 24)


def test_it_recomputes_features_of_recordings(runs, models, tmp_path, document):
    found = audit(models["float32"], runs, store=tmp_path / "new", timed_clips=0)
    assert found["variants"] == [of(document, "float32")]
    manifest = Manifest.read(runs[0].manifest)
    store = FeatureStore(tmp_path / "new", toys.SPEC)
    assert all(store.path_of(clip).is_file() for clip in manifest.clips)


def test_a_missing_recording_is_one_line(runs, models, world, tmp_path):
    moved = Manifest(tmp_path, world.manifest.clips)
    with pytest.raises(SerEdgeError, match=r"s1-0\.wav: does not exist"):
        audit(models["float32"], runs, store=tmp_path / "new", recordings=moved, timed_clips=0)


def test_nothing_to_compare(runs, models, store):
    with pytest.raises(ConversionRefused, match="no model file"):
        audit([], runs, store=store)
    with pytest.raises(ConversionRefused, match="--reference"):
        audit(models["float32"], [], store=store)


def test_a_run_that_leaks_is_refused(world, tmp_path, store):
    def divide(clip):
        return "test" if int(clip.take) % 4 == 0 else "train"

    run = toys.make_run(tmp_path / "run", world, divide=divide)
    model = toys.make_model(tmp_path / "m.tflite", run)
    with pytest.raises(AuditRefused, match="training part too"):
        audit([model], [run], store=store)


def test_the_largest_file_and_the_worst_class(document):
    found = of(document, "int8-io")
    assert largest(found, "bytes") == max(one["bytes"] for one in found["files"])
    assert largest({"files": [{"arena_bytes": 3}, {"arena_bytes": None}]}, "arena_bytes") is None
    label, fall = worst_class(found)
    assert fall == max(one["drop"] for one in found["classes"].values())
    assert found["classes"][label]["drop"] == fall
    assert worst_class({"classes": {"sad": {"drop": None}}}) is None


@pytest.mark.parametrize(
    ("count", "wanted", "places"),
    [(10, 3, [0, 3, 6]), (2, 5, [0, 1]), (4, 4, [0, 1, 2, 3]), (5, 1, [0])],
)
def test_clips_are_spread_evenly(count, wanted, places):
    assert spread_evenly(count, wanted) == places


def test_no_keras_and_no_tensorflow_are_loaded(runs, models, store):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ser_edge_convert.audit import audit\n"
        f"audit([{str(models['float32'][0])!r}], [{str(runs[0].path)!r}], "
        f"store=Path({str(store)!r}), timed_clips=2)\n"
        "print(sorted({'keras', 'tensorflow', 'librosa', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
