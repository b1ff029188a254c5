"""Nobody in an audit may have been heard before: speakers, equal audio, calibration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.audit.separation import check_calibration, check_speakers
from ser_edge_convert.errors import AuditRefused
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.manifest import Manifest
from tests.convert.audit import toys


@pytest.fixture(scope="module")
def reference(runs):
    return Reference.read(runs[0])


def moved(**parts):
    """The first fold's division, but for some clips."""
    named = {stem.replace("_", "-"): part for stem, part in parts.items()}
    return lambda clip: named.get(clip.stem, toys.part_of(clip.speaker, 1))


def test_parts_of_different_speakers(reference):
    assert check_speakers(reference) == 0


@pytest.mark.parametrize(("part", "word"), [("train", "training"), ("validation", "validation")])
def test_a_test_speaker_in_another_part(world, tmp_path, part, word):
    run = toys.make_run(tmp_path / "run", world, divide=moved(s2_3=part))
    expected = rf"speaker toy s2 of its test part is in its {word} part too \(toy s2-3\)"
    with pytest.raises(AuditRefused, match=expected):
        check_speakers(Reference.read(run))


def test_validation_speakers_may_be_tested_but_not_trained(world, tmp_path):
    run = toys.make_run(tmp_path / "a", world, divide=moved(s3_0="test"))
    assert check_speakers(Reference.read(run, "validation")) == 0
    run = toys.make_run(tmp_path / "b", world, divide=moved(s3_0="train"))
    with pytest.raises(AuditRefused, match="speaker toy s3 of its validation part"):
        check_speakers(Reference.read(run, "validation"))


def test_equal_audio_of_a_training_speaker(world, tmp_path):
    digests = {clip.stem: clip.audio_sha256 for clip in world.manifest.clips}
    clips = tuple(
        replace(clip, audio_sha256=digests["s1-0"]) if clip.stem == "s5-0" else clip
        for clip in world.manifest.clips
    )
    copied = replace(world, manifest=Manifest(world.manifest.root, clips))
    run = toys.make_run(tmp_path / "run", copied)
    with pytest.raises(AuditRefused, match="audio of toy s5-0 is in both test and train"):
        check_speakers(Reference.read(run))


def test_speakers_whom_nobody_named_are_counted(world, tmp_path):
    clips = tuple(
        replace(clip, speaker=f"unknown:{clip.stem}") if clip.speaker == "s1" else clip
        for clip in world.manifest.clips
    )
    unnamed = replace(world, manifest=Manifest(world.manifest.root, clips))
    parts = {clip.stem: toys.part_of(clip.speaker, 1) for clip in world.manifest.clips}
    run = toys.make_run(tmp_path / "run", unnamed, divide=lambda clip: parts[clip.stem])
    assert check_speakers(Reference.read(run)) == toys.TAKES


def accounted(models, **values):
    """The first fold's int8 file with another account of its calibration; None leaves a key out."""
    model = read_model_file(models["int8-io"][0])
    provenance = dict(model.metadata.provenance)
    found = {**provenance["calibration"], **values}
    provenance["calibration"] = {key: one for key, one in found.items() if one is not None}
    return replace(model, metadata=replace(model.metadata, provenance=provenance))


def check(model, reference):
    return check_calibration(model, reference, calibrated=True)


def test_a_file_that_names_its_clips(models, reference):
    assert check(read_model_file(models["int8-io"][0]), reference) == "training speakers"


def test_a_file_that_names_its_choice_alone(models, reference):
    assert check(accounted(models, audio=None), reference) == "training speakers"


def test_a_float_file_has_none(models, reference):
    model = read_model_file(models["float32"][0])
    assert check_calibration(model, reference, calibrated=False) == "not calibrated"


def test_a_calibrated_variant_that_says_nothing(models, reference):
    with pytest.raises(AuditRefused, match="does not say which clips it was calibrated on"):
        check(read_model_file(models["float32"][0]), reference)


def test_a_test_speaker_that_calibrated(models, reference):
    named = [clip.audio_sha256[:16] for clip in reference.clips[-1:]]
    with pytest.raises(AuditRefused, match="calibrated on speaker toy s2"):
        check(accounted(models, audio=named), reference)


@pytest.mark.parametrize(
    "values",
    [
        {"audio": ["0" * 16]},
        {"audio": "all"},
        {"audio": ["12"]},
        {"audio": [7]},
        {"audio": None, "seed": 1},
        {"audio": None, "size": 21},
        {"audio": None, "size": 0},
        {"audio": None, "size": "20"},
        {"audio": None, "seed": None},
        {"audio": None, "digest": "0" * 64},
        {"audio": None, "digest": None},
    ],
)
def test_clips_that_the_run_does_not_tell(models, reference, values):
    with pytest.raises(AuditRefused, match=r"clips that .* does not tell; convert it"):
        check(accounted(models, **values), reference)


def test_the_choice_of_another_fold_is_not_this_ones(models, runs):
    other = Reference.read(runs[1])
    with pytest.raises(AuditRefused, match="calibrated on speaker"):
        check(read_model_file(models["int8-io"][0]), other)
    with pytest.raises(AuditRefused, match="does not tell"):
        check(accounted(models, audio=None), other)
