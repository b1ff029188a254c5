"""Scores by group, and a model run over recordings."""

from __future__ import annotations

import dataclasses
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.classifier import Classifier
from ser_edge_train.evaluation import (
    allowed_classes,
    allowed_mask,
    evaluate_model,
    score,
    score_together,
    worst_mistakes,
)
from ser_edge_train.feature_store import ChangedAudio
from ser_edge_train.manifest import CORPUS_LABELS, Clip, Manifest
from ser_edge_train.predictions import ClipRow, Predictions, UnknownLabel, softmax

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "data" / "format_v1.tflite"
LABELS = ("angry", "happy", "sad", "surprise")
ALLOWED = {"full": LABELS, "part": ("angry", "happy", "sad")}


@pytest.fixture(scope="module")
def predictions():
    """240 clips: corpus "full" has four classes and six speakers, "part" three and four."""
    rng = np.random.default_rng(11)
    rows, logits = [], []
    for number in range(240):
        corpus = "full" if number % 2 else "part"
        classes = ALLOWED[corpus]
        label = classes[rng.integers(len(classes))]
        speaker = number % (12 if corpus == "full" else 8) // 2
        sex = ("female", "male", "")[0 if speaker == 0 else speaker % 3]
        rows.append(ClipRow(corpus, f"c{number}", f"s{speaker}", sex, "test", label))
        scores = rng.normal(0, 1, 4)
        scores[LABELS.index(label)] += 1.5
        scores[3] += 1.0  # surprise is over-answered: masks must show
        logits.append(scores)
    return Predictions(LABELS, tuple(rows), softmax(np.array(logits)))


def answers_of(predictions, keep):
    chosen, truth = [], []
    for row, values in zip(predictions.rows, predictions.probabilities, strict=True):
        if keep(row):
            classes = ALLOWED[row.corpus]
            chosen.append(max(classes, key=lambda c: values[LABELS.index(c)]))
            truth.append(row.label)
    return truth, chosen


@pytest.mark.parametrize(
    ("path", "keep"),
    [
        (("overall",), lambda row: True),
        (("corpora", "full"), lambda row: row.corpus == "full"),
        (("corpora", "part"), lambda row: row.corpus == "part"),
        (("sexes", "female"), lambda row: row.sex == "female"),
        (("speakers", "part/s1"), lambda row: row.speaker_key == ("part", "s1")),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else "",
)
def test_every_group_is_scored_as_scikit_learn_scores_it(predictions, path, keep):
    group = score(predictions, ALLOWED)
    for name in path:
        group = group[name]
    truth, chosen = answers_of(predictions, keep)
    classes = group["confusion"]["labels"]
    assert group["clips"] == len(truth)
    assert group["accuracy"] == pytest.approx(oracle.accuracy_score(truth, chosen))
    assert group["uar"] == pytest.approx(oracle.balanced_accuracy_score(truth, chosen))
    macro = oracle.f1_score(truth, chosen, average="macro", zero_division=0)
    assert group["macro_f1"] == pytest.approx(macro)
    counts = oracle.confusion_matrix(truth, chosen, labels=classes)
    assert group["confusion"]["counts"] == counts.tolist()
    for place, name in enumerate(classes):
        assert group["support"][name] == truth.count(name) == counts[place].sum()


def test_groups_hold_their_speakers_and_their_classes(predictions):
    scores = score(predictions, ALLOWED)
    assert scores["overall"]["speakers"] == 10
    assert {name: group["speakers"] for name, group in scores["corpora"].items()} == {
        "full": 6, "part": 4,
    }  # fmt: skip
    assert scores["corpora"]["part"]["confusion"]["labels"] == ["angry", "happy", "sad"]
    assert scores["overall"]["confusion"]["labels"] == list(LABELS)
    assert sorted(scores["sexes"]) == ["female", "male"]  # unknown sexes are in no group
    assert len(scores["speakers"]) == 10
    assert all(one["uar_interval"] is None for one in scores["speakers"].values())


def test_the_mask_changes_answers_and_only_to_allowed_classes(predictions):
    masked = score(predictions, ALLOWED)["corpora"]["part"]
    free = score(predictions, {"full": LABELS, "part": LABELS})["corpora"]["part"]
    assert masked["uar"] > free["uar"]
    assert "surprise" not in masked["recalls"]
    assert free["recalls"]["surprise"] is None  # allowed, but no clip has it


def test_the_interval_holds_the_score(predictions):
    overall = score(predictions, ALLOWED)["overall"]
    low, high = overall["uar_interval"]
    assert low < overall["uar"] < high
    assert overall["uar_interval"] != score(predictions, ALLOWED, seed=9)["overall"]["uar_interval"]


def test_the_whole_has_intervals_of_more_than_its_uar(predictions):
    overall = score(predictions, ALLOWED, seed=4)["overall"]
    for name in ("accuracy", "uar", "macro_f1"):
        low, high = overall[f"{name}_interval"]
        assert low < overall[name] < high
    assert list(overall["recall_intervals"]) == list(LABELS)
    for label, (low, high) in overall["recall_intervals"].items():
        assert 0 <= low <= overall["recalls"][label] <= high <= 1
    assert "recall_intervals" not in score(predictions, ALLOWED)["corpora"]["full"]


def test_one_speaker_has_no_interval_at_all(predictions):
    one = predictions.where([row.speaker_key == ("part", "s1") for row in predictions])
    overall = score(one, ALLOWED)["overall"]
    assert overall["accuracy_interval"] is overall["macro_f1_interval"] is None
    assert set(overall["recall_intervals"].values()) == {None}


def test_tables_scored_together_are_one_table(predictions):
    half = [number < 100 for number in range(len(predictions))]
    parts = [predictions.where(half), predictions.where([not one for one in half])]
    assert score_together(parts, ALLOWED, seed=3) == score(predictions, ALLOWED, seed=3)


def test_a_clip_answered_twice_counts_twice(predictions):
    once = score(predictions, ALLOWED)["overall"]
    twice = score_together([predictions, predictions], ALLOWED)["overall"]
    assert twice["clips"] == 2 * once["clips"]
    assert twice["speakers"] == once["speakers"]
    assert twice["uar"] == pytest.approx(once["uar"])
    # The second answer is no new speaker: the interval must not shrink.
    assert twice["uar_interval"] == pytest.approx(once["uar_interval"])


def test_tables_of_other_classes_are_not_scored_together(predictions):
    other = Predictions(
        LABELS[::-1], predictions.rows[:1], predictions.probabilities[:1, ::-1].copy()
    )
    with pytest.raises(ValueError, match="classes differ"):
        score_together([predictions, other], ALLOWED)


def test_the_worst_mistakes_are_the_surest_wrong_answers(predictions):
    found = worst_mistakes(predictions, ALLOWED, 5)
    assert len(found) == 5
    sure = [one["confidence"] for one in found]
    assert sure == sorted(sure, reverse=True)
    rows = {row.key: (row, place) for place, row in enumerate(predictions.rows)}
    everything = worst_mistakes(predictions, ALLOWED, 1000)
    assert everything[:5] == found
    truth, chosen = answers_of(predictions, lambda row: True)
    assert len(everything) == sum(one != other for one, other in zip(truth, chosen, strict=True))
    for one in everything:
        row, place = rows[one["corpus"], one["stem"]]
        classes = ALLOWED[row.corpus]
        shares = dict(zip(LABELS, predictions.probabilities[place], strict=True))
        total = sum(shares[name] for name in classes)
        assert one["answer"] in classes
        assert one["answer"] != one["label"] == row.label
        assert one["speaker"] == row.speaker
        assert one["confidence"] == pytest.approx(shares[one["answer"]] / total)
        assert one["truth"] == pytest.approx(shares[one["label"]] / total)
    json.dumps(found, allow_nan=False)


def test_no_clip_has_no_mistake(predictions):
    assert worst_mistakes(predictions.where([False] * len(predictions)), ALLOWED) == []


def test_reliability_adds_up_to_the_error(predictions):
    overall = score(predictions, ALLOWED)["overall"]
    bins = [one for one in overall["reliability"] if one["clips"]]
    assert sum(one["clips"] for one in bins) == 240
    error = sum(one["clips"] * abs(one["confidence"] - one["accuracy"]) for one in bins) / 240
    assert overall["ece"] == pytest.approx(error)
    assert all(one["confidence"] is None for one in overall["reliability"] if not one["clips"])


def test_scores_are_plain_and_repeatable(predictions):
    one = json.dumps(score(predictions, ALLOWED), allow_nan=False)
    assert one == json.dumps(score(predictions, ALLOWED), allow_nan=False)
    shuffled = np.random.default_rng(0).permutation(len(predictions))
    other = Predictions(
        LABELS,
        tuple(predictions.rows[place] for place in shuffled),
        predictions.probabilities[shuffled],
    )
    for group in ("corpora", "speakers"):
        ours, theirs = score(predictions, ALLOWED)[group], score(other, ALLOWED)[group]
        assert list(ours) == list(theirs)
        assert all(ours[n]["confusion"] == theirs[n]["confusion"] for n in ours)
        assert all(ours[n]["uar_interval"] == theirs[n]["uar_interval"] for n in ours)


def test_what_cannot_be_scored_is_refused(predictions):
    with pytest.raises(ValueError, match="no clip"):
        score(predictions.of_part("train"), ALLOWED)
    with pytest.raises(ValueError, match="none of the corpus's classes"):
        score(predictions, {"full": LABELS, "part": ("angry", "happy")})
    with pytest.raises(KeyError):
        score(predictions, {"full": LABELS})


def clip(corpus, stem, emotion, speaker="s", path=None, digest="0" * 64):
    path = path or f"{stem}.wav"
    return Clip(corpus, stem, path, speaker, "", emotion, "", "", "", 1.0, digest, "")


def test_allowed_classes_are_the_corpuss_after_the_merges():
    clips = tuple(
        clip(corpus, f"c{number}", emotion)
        for number, (corpus, emotion) in enumerate(
            [
                ("crema-d", "sad"),
                ("ravdess", "calm"),
                ("own", "bored"),
                ("own", "sad"),
                ("odd", "x"),
            ]
        )
    )
    manifest = Manifest(Path(), clips)
    labels = ("bored", "sad", "neutral", "angry", "surprise")
    allowed = allowed_classes(manifest, labels, {"calm": "neutral"})
    assert allowed == {
        "crema-d": ("sad", "neutral", "angry"),
        "ravdess": ("sad", "neutral", "angry", "surprise"),
        "own": ("bored", "sad"),
    }
    assert "calm" in allowed_classes(manifest, CORPUS_LABELS["ravdess"])["ravdess"]


def test_allowed_mask_is_one_row_a_clip():
    mask = allowed_mask(["part", "full", "part"], LABELS, ALLOWED)
    assert mask.tolist() == [[True] * 3 + [False], [True] * 4, [True] * 3 + [False]]
    assert allowed_mask([], LABELS, ALLOWED).shape == (0, 4)


@pytest.fixture
def recordings(tmp_path):
    """Six recordings of tones, with labels of the committed model."""
    labels = Classifier.load(MODEL).labels
    clips = []
    for number in range(6):
        time = np.arange(4000 + 900 * number) / 16000
        samples = 0.3 * np.sin(2 * np.pi * 150 * (number + 1) * time)
        path = tmp_path / f"t{number}.wav"
        with wave.open(str(path), "wb") as stream:
            stream.setnchannels(1)
            stream.setsampwidth(2)
            stream.setframerate(16000)
            stream.writeframes((samples * 32767).astype("<i2").tobytes())
        digest = audio_digest(*load_audio(path))
        label = labels[number % 2]
        clips.append(clip("own", f"t{number}", label, f"s{number % 2}", path.name, digest))
    return Manifest(tmp_path, tuple(clips))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_model_is_run_as_the_runtime_runs_it(recordings, processes):
    parts = {("own", f"t{number}"): "test" for number in (4, 0, 2)}
    calls = []
    answers = evaluate_model(
        MODEL, recordings, parts, processes=processes, progress=lambda *c: calls.append(c)
    )
    classifier = Classifier.load(MODEL)
    assert answers.labels == classifier.labels
    assert [row.stem for row in answers] == ["t0", "t2", "t4"]
    assert answers.parts == ("test",)
    for row, values in zip(answers.rows, answers.probabilities, strict=True):
        result = classifier.classify_file(recordings.path_of(recordings.by_key[row.key]))
        assert values.tolist() == list(result.scores.values())
    assert calls[-1] == (3, 3)


def test_a_label_that_the_model_has_not_is_found_before_the_work(recordings):
    bored = dataclasses.replace(recordings.clips[5], emotion="bored")
    manifest = Manifest(recordings.root, (*recordings.clips[:5], bored))
    parts = {one.key: "test" for one in manifest.clips}
    calls = []
    with pytest.raises(UnknownLabel, match="own t5: the model has no class 'bored'"):
        evaluate_model(MODEL, manifest, parts, progress=lambda *c: calls.append(c))
    assert calls == []
    merged = evaluate_model(MODEL, manifest, parts, merge={"bored": recordings.clips[0].emotion})
    assert merged.rows[5].label == recordings.clips[0].emotion


@pytest.mark.parametrize("processes", [1, 2])
def test_a_changed_recording_is_not_scored(recordings, processes):
    path = recordings.path_of(recordings.clips[1])
    path.write_bytes(recordings.path_of(recordings.clips[2]).read_bytes())
    with pytest.raises(ChangedAudio, match=r"t1\.wav"):
        evaluate_model(MODEL, recordings, {("own", "t1"): "test"}, processes=processes)
