"""The four corpora as they are: counts, labels, speakers, sexes, known faults, clean partitions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ser_edge_train.hearing import SILENCE, hear
from ser_edge_train.manifest import CORPUS_LABELS, Manifest
from ser_edge_train.partitions import FOLDS, PARTS, check_disjoint, speaker_disjoint, speaker_folds
from ser_edge_train.scan import Survey, survey

FOLDERS = ("ravdess", "crema-d", "tess", "savee")


@pytest.fixture(scope="module")
def whole(corpora: Path) -> Survey:
    """One scan for all tests of this file: it decodes nine hours of speech."""
    calls: list[tuple[int, int]] = []
    found = survey(
        [corpora / name for name in FOLDERS],
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 12_160) for done in range(1, 12_161)]
    return found


@pytest.fixture(scope="module")
def manifest(whole: Survey, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The scan's manifest, through its CSV."""
    path = tmp_path_factory.mktemp("corpora") / "manifest.csv"
    whole.manifest.write(path)
    return Manifest.read(path)


def test_clips(whole, manifest):
    assert manifest == whole.manifest
    assert Counter(clip.corpus for clip in manifest.clips) == {
        "ravdess": 1440,
        "crema-d": 7442,
        "tess": 2798,
        "savee": 480,
    }
    assert whole.summary.copies == 0
    assert whole.summary.unrecognised == ()
    assert whole.summary.left_out == ()
    assert whole.summary.complete


def test_faults(whole, manifest):
    assert whole.summary.fault_counts() == {"silent": 1, "conflict": 3, "duplicate": 1}
    assert {fault.clips: fault.kind for fault in whole.summary.faults} == {
        ("crema-d 1076_MTI_SAD_XX",): "silent",
        ("crema-d 1006_TIE_HAP_XX", "crema-d 1006_TIE_NEU_XX"): "conflict",
        ("crema-d 1013_WSI_DIS_XX", "crema-d 1013_WSI_SAD_XX"): "conflict",
        ("crema-d 1017_IWW_ANG_XX", "crema-d 1017_IWW_FEA_XX"): "conflict",
        ("ravdess 03-01-03-01-02-01-07", "ravdess 03-01-03-01-02-02-07"): "duplicate",
    }
    assert Counter(clip.fault for clip in manifest.clips) == {
        "": 12_160 - 8,
        "silent": 1,
        "conflict": 6,
        "duplicate": 1,
    }
    assert manifest.by_key["ravdess", "03-01-03-01-02-02-07"].fault == "duplicate"
    lines = "\n".join(whole.summary.lines())
    assert "faults: 1 silent, 3 conflict, 1 duplicate" in lines
    assert "1006_TIE_HAP_XX (happy) = crema-d 1006_TIE_NEU_XX (neutral)" in lines


def test_labels(manifest):
    labels = Counter((clip.corpus, clip.emotion) for clip in manifest.clips)
    expected = {("ravdess", label): 192 for label in CORPUS_LABELS["ravdess"]}
    expected |= {("crema-d", label): 1271 for label in CORPUS_LABELS["crema-d"]}
    expected |= {("tess", label): 400 for label in CORPUS_LABELS["tess"]}
    expected |= {("savee", label): 60 for label in CORPUS_LABELS["savee"]}
    expected |= {("ravdess", "neutral"): 96, ("crema-d", "neutral"): 1087}
    expected |= {("tess", "angry"): 399, ("tess", "sad"): 399, ("savee", "neutral"): 120}
    assert labels == expected


def test_speakers_and_sexes(manifest):
    people = Counter((c, s) for c, _, s in {(*x.speaker_key, x.sex) for x in manifest.clips})
    assert people == {
        ("ravdess", "male"): 12,
        ("ravdess", "female"): 12,
        ("crema-d", "male"): 48,
        ("crema-d", "female"): 43,
        ("tess", "female"): 2,
        ("savee", "male"): 4,
    }
    assert len({clip.speaker_key for clip in manifest.clips}) == 121
    each = Counter(clip.speaker_key for clip in manifest.clips if clip.corpus != "crema-d")
    assert {each[key] for key in each if key[0] == "ravdess"} == {60}
    assert {each[key] for key in each if key[0] == "savee"} == {120}
    assert {each[key] for key in each if key[0] == "tess"} == {1399}


def test_seconds_intensities_and_takes(manifest):
    seconds: Counter[str] = Counter()
    for clip in manifest.clips:
        seconds[clip.corpus] += clip.seconds
    totals = {corpus: round(total) for corpus, total in seconds.items()}
    assert totals == {"ravdess": 5329, "crema-d": 18924, "tess": 5751, "savee": 1843}
    intensities = Counter((c.corpus, c.intensity) for c in manifest.clips)
    assert intensities["crema-d", "high"] == intensities["crema-d", "low"] == 455
    assert intensities["ravdess", "strong"] == 672
    sentences = {c.sentence for c in manifest.clips if c.corpus == "crema-d"}
    assert len(sentences) == 12


def test_quiet_clips_are_not_silent(corpora, manifest):
    """Twelve clips of RAVDESS peak under 0.01; the threshold lies well below them."""
    quiet = [
        hear(manifest.root / clip.path).excursion
        for clip in manifest.clips
        if clip.corpus == "ravdess" and clip.speaker in ("09", "20")
    ]
    assert sum(excursion < 0.01 for excursion in quiet) >= 12
    assert min(quiet) > 5 * SILENCE
    silent = hear(corpora / "crema-d" / "AudioWAV" / "1076_MTI_SAD_XX.opus")
    assert silent.excursion < SILENCE / 5


@pytest.mark.parametrize("fold", FOLDS)
def test_folds_are_clean(manifest, fold):
    partition = speaker_folds(manifest, fold, 0)
    check_disjoint(manifest, partition)
    assert sum(len(partition.part(part)) for part in PARTS) == len(manifest.usable)
    labels = {clip.emotion for clip in partition.clips(manifest, "test")}
    assert len(labels) == 8


def test_speaker_disjoint_is_clean_and_near_its_shares(manifest):
    partition = speaker_disjoint(manifest, 0)
    check_disjoint(manifest, partition)
    held = {part: len({c.speaker_key for c in partition.clips(manifest, part)}) for part in PARTS}
    assert sum(held.values()) == 121
    assert abs(held["train"] - 0.7 * 121) <= 3
    for part in ("validation", "test"):
        sexes = Counter(
            s for _, _, s in {(*c.speaker_key, c.sex) for c in partition.clips(manifest, part)}
        )
        assert abs(sexes["male"] - sexes["female"]) <= 4


def test_upstreams_own_files(corpora):
    """AIFF inside .wav, 96 kHz, two channels, digital silence, one recording under two labels."""
    found = survey([corpora / "originals"])
    assert Counter(clip.corpus for clip in found.manifest.clips) == {
        "crema-d": 21,
        "ravdess": 8,
        "savee": 2,
        "tess": 5,
    }
    assert found.summary.fault_counts() == {"silent": 1, "conflict": 1}
    assert found.summary.complete


def test_packed_twins_of_other_audio_are_named(corpora):
    """SAVEE's two originals at 44.1 kHz beside the packed corpus: whose audio is right?"""
    found = survey([corpora / "savee", corpora / "originals" / "savee"])
    assert len(found.manifest.clips) == 480
    assert {c.stem: c.fault for c in found.manifest.clips if c.fault} == {
        "DC_a01": "repeated-stem",
        "KL_sa03": "repeated-stem",
    }
