"""docs/robustness.md: that it is what its script writes, and how disturbed clips are measured."""

from __future__ import annotations

import json
import pickle
import re
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.errors import AuditRefused, ConversionRefused
from ser_edge_convert.robustness import answering, measure
from ser_edge_convert.robustness.page import page, points
from ser_edge_convert.robustness.sampling import sample
from ser_edge_runtime.classifier import Classifier
from ser_edge_train.disturbances import CLEAN, Disturbance
from ser_edge_train.feature_store import read_clip
from ser_edge_train.predictions import ClipRow, Predictions
from tests.convert.audit import toys
from tests.scripts import load_script

DOCS = Path(__file__).parents[3] / "docs"
NOISE = Disturbance("noise", "white noise", {"noise": {"snr_db": (-20.0, -20.0)}})
AROUND = Disturbance("silence around", "a second of it", silence_seconds=1.0)
TRIED = (CLEAN, NOISE, AROUND)


make_robustness = load_script(DOCS / "make_robustness.py")


@pytest.fixture(scope="module")
def references(runs):
    return [Reference.read(run) for run in runs]


@pytest.fixture(scope="module")
def files(models):
    return [path for of_variant in models.values() for path in of_variant]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("answers")


@pytest.fixture(scope="module")
def measured(references, files, folder):
    return measure(references, files, TRIED, folder)


def rows_of(document, form, name):
    return [row for row in document["rows"] if (row["form"], row["disturbance"]) == (form, name)]


def test_every_form_disturbance_and_corpus_has_a_row(measured):
    assert [form["form"] for form in measured["forms"]] == ["float32 for cpu", "int8-io for cpu"]
    assert [len(form["files"]) for form in measured["forms"]] == [3, 3]
    assert len(measured["rows"]) == 6
    assert {row["corpus"] for row in measured["rows"]} == {"toy"}
    assert {row["clips"] for row in measured["rows"]} == {72}
    assert {row["speakers"] for row in measured["rows"]} == {6}
    json.dumps(measured, allow_nan=False)


def test_clean_float_answers_are_the_networks_and_cost_nothing(measured, references):
    assert measured["as_reported"] == measured["clips"] == measured["of"] == 72
    for form in measured["forms"]:
        (clean,) = rows_of(measured, form["form"], "clean")
        assert (clean["lost"], clean["interval"], clean["within"]) == (0, [0, 0], True)


def test_losses_are_clean_minus_disturbed_of_the_same_clips(measured):
    for form in measured["forms"]:
        (clean,), (noisy,) = (rows_of(measured, form["form"], name) for name in ("clean", "noise"))
        assert noisy["lost"] == pytest.approx(clean["uar"] - noisy["uar"], abs=1e-12)
        assert noisy["lost"] > 0.05
        assert noisy["within"] is False
        assert noisy["interval"][0] < noisy["lost"] < noisy["interval"][1]


def test_answers_are_those_of_a_device(references, files, tmp_path):
    """Also in segments, which silence around these clips makes of them."""
    reference = references[0]
    mine = [path for path in files if path.name == "float32-1.tflite"]
    (subject,) = answering_subjects(mine, references)
    (table,) = answering.answers(reference, [0, 5], [subject], AROUND, tmp_path)
    classifier = Classifier.load(mine[0])
    for place, row in zip((0, 5), table.probabilities, strict=True):
        samples, rate = read_clip(reference.recordings.root, reference.clips[place])
        result = classifier.classify(np.pad(samples, rate), rate)
        assert len(samples) / rate < 2 * toys.SPEC.clip_seconds < result.seconds
        np.testing.assert_allclose(row, list(result.scores.values()), rtol=1e-6)


def answering_subjects(paths, references):
    from ser_edge_convert.audit.subjects import read_subjects

    return read_subjects(paths, references)


def test_a_second_call_takes_what_is_there(
    references, files, folder, measured, monkeypatch, tmp_path
):
    def never(*arguments):
        raise AssertionError("a recording was heard again")

    monkeypatch.setattr(answering, "work", never)
    assert measure(references, files, TRIED, folder) == measured
    # Other clips are other answers.
    with pytest.raises(AssertionError, match="heard again"):
        measure(references, files, TRIED, folder, clips=70)
    with pytest.raises(AssertionError, match="heard again"):
        measure(references, files, TRIED, tmp_path)


def test_spoilt_answers_are_computed_again(references, files, folder, measured):
    paths = sorted(folder.glob("noise-*.csv"))
    assert len(paths) == 6
    before = paths[0].read_bytes()
    paths[0].write_bytes(before[:200])
    assert measure(references, files, TRIED, folder) == measured
    assert paths[0].read_bytes() == before


def test_no_feature_is_kept(folder, measured):
    assert {path.suffix for path in folder.rglob("*")} == {".csv"}


def test_what_goes_to_another_process_answers_the_same(references, files):
    subject = answering_subjects(files[:1], references)[0]
    job = answering._Job((subject.model,), NOISE, references[0].recordings.root, None)
    clips = references[0].clips[:2]
    here, there = (
        answering._answer(answering._worker(one), clips)
        for one in (job, pickle.loads(pickle.dumps(job)))
    )
    np.testing.assert_array_equal(here, there)


def test_what_would_prove_nothing_is_refused(references, files, tmp_path, world):
    with pytest.raises(ConversionRefused, match="clean recordings"):
        measure(references, files, TRIED[1:], tmp_path)
    with pytest.raises(ConversionRefused, match="no model file"):
        measure(references, [], TRIED, tmp_path)
    with pytest.raises(AuditRefused, match="no model file of it is float32"):
        measure(references, files[:1], TRIED, tmp_path)
    leaky = toys.make_run(tmp_path / "leaky", world, 3, divide=lambda clip: (
        "test" if int(clip.take) % 3 == 0 else "train"))  # fmt: skip
    with pytest.raises(AuditRefused, match="in its training part too"):
        measure([Reference.read(leaky)], files, TRIED, tmp_path)
    unscored = toys.make_run(tmp_path / "unscored", world, 3, parts=("validation",))
    with pytest.raises(AuditRefused, match="test part was not scored"):
        Reference.read(unscored)


# The sample


def table_of(speakers, clips, labels=("calm", "sad"), corpus="c"):
    rows = [
        ClipRow(corpus, f"{corpus}-{speaker}-{label}-{number}", speaker, "", "test", label)
        for speaker in speakers
        for label in labels
        for number in range(clips)
    ]
    return Predictions(("calm", "sad"), tuple(rows), np.full((len(rows), 2), 0.5))


def test_a_sample_has_as_many_of_each_class_of_each_corpus():
    tables = [table_of("abcdef", 9), table_of("xyz", 9, corpus="d"), table_of("gh", 9)]
    places = sample(tables, 40, seed=0)
    chosen = [
        table.rows[place] for table, mine in zip(tables, places, strict=True) for place in mine
    ]
    counts = {}
    for row in chosen:
        counts[row.corpus, row.label] = counts.get((row.corpus, row.label), 0) + 1
    assert set(counts.values()) == {10}
    # Eight speakers speak ten clips of a class: each once or twice.
    for label in ("calm", "sad"):
        spoken = [row.speaker for row in chosen if (row.corpus, row.label) == ("c", label)]
        assert {spoken.count(speaker) for speaker in "abcdefgh"} == {1, 2}


def test_a_small_sample_hears_more_speakers_than_clips_of_a_class():
    table = table_of("abcdefghijkl", 9)
    (places,) = sample([table], 12, seed=0)
    assert len({table.rows[place].speaker for place in places}) > 6


def test_a_sample_hangs_on_names_and_seed_alone():
    tables = [table_of("abcd", 5), table_of("ef", 5)]

    def names(given, seed):
        return {
            given[n].rows[p].stem for n, mine in enumerate(sample(given, 12, seed)) for p in mine
        }

    turned = [table.where(np.ones(len(table))) for table in tables]
    turned = [Predictions(t.labels, t.rows[::-1], t.probabilities) for t in turned]
    assert names(tables, 0) == names(turned, 0)
    assert names(tables, 0) != names(tables, 1)


def test_a_class_with_too_few_clips_leaves_room_for_others():
    rows = table_of("a", 2, ("calm",)).rows + table_of("b", 30, ("sad",)).rows
    table = Predictions(("calm", "sad"), rows, np.full((32, 2), 0.5))
    (places,) = sample([table], 20, 0)
    labels = [rows[place].label for place in places]
    assert (labels.count("calm"), labels.count("sad")) == (2, 18)
    assert places == sorted(places)
    assert sample([table], None, 0) == sample([table], 99, 0) == [list(range(32))]
    with pytest.raises(ValueError, match="no sample"):
        sample([table], 0, 0)


def test_a_sample_is_said_to_be_one(references, files, tmp_path):
    document = measure(references, files, TRIED[:2], tmp_path, clips=30, seed=4)
    assert (document["clips"], document["of"], document["seed"]) == (30, 72, 4)
    text = " ".join(page([document]).split())
    assert "30 of 72 clips of 6 speakers, as many of each class" in text
    assert "**a sample, so the intervals are wide**" in text


# The page


def test_the_page_says_plainly_what_stays_within_the_bound(measured):
    text = page([measured])
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 100
    text = re.sub(r"\n *(?=[^\n|#-])", " ", text)
    assert "## toy, speaker-folds, test speakers" in text
    assert "Folds 1, 2 and 3; test speakers" in text
    assert "All 72 clips of 6 speakers." in text
    for form in measured["forms"]:
        (line,) = [one for one in text.splitlines() if one.startswith(f"- {form['form']}: ")]
        (noisy,) = rows_of(measured, form["form"], "noise")
        within, beyond = line.split("Not within: ")
        assert f"**noise** ({points(noisy['lost'])} on toy)" in beyond
        (around,) = rows_of(measured, form["form"], "silence around")
        assert around["disturbance"] in (within if around["within"] else beyond)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(TRIED)
    assert {line.count("|") for line in table} == {12}
    assert "- noise: white noise" in text


def test_points_have_no_negative_nothing():
    assert [points(value) for value in (-0.0004, 0.0, 0.051, -0.12)] == [
        "0.0",
        "0.0",
        "5.1",
        "-12.0",
    ]


def test_the_page_is_what_the_script_writes():
    documents = json.loads((DOCS / "robustness.json").read_text("utf-8"))
    assert page(documents) == (DOCS / "robustness.md").read_text("utf-8"), (
        "run: python docs/make_robustness.py"
    )
    for document in documents:
        for row in document["rows"]:
            assert row["within"] == (row["lost"] <= document["bound"])


# The script


def asked(runs, work, **changes):
    given = {
        "runs": [run.path for run in runs], "models": [], "data": None, "work": work,
        "part": "test", "corpora": ["toy"], "clips": 12, "seed": 0, "noise": None, "processes": 1,
    }  # fmt: skip
    return Namespace(**{**given, **changes})


def test_the_script_mixes_voices_and_makes_the_files_that_are_missing(
    runs, models, tmp_path, monkeypatch, capsys
):
    made = []

    def convert_each(run, out_of, *, store, variants, manifest, max_drop):
        made.append((run.path.name, tuple(variants)))
        for variant in variants:
            toys.make_model(out_of(variant), run, variant)
        return []

    monkeypatch.setattr(make_robustness, "convert_each", convert_each)
    monkeypatch.setattr(
        make_robustness, "disturbances", lambda noise, meaning: (CLEAN, Disturbance(
            "voices", meaning, {"recorded_noise": {"snr_db": (10.0, 10.0), "folder": str(noise)}})),
    )  # fmt: skip
    given = asked(runs[:2], tmp_path, models=[models["float32"][0]])
    document = make_robustness.measured(given)
    assert made == [("fold-1", ("int8",)), ("fold-2", ("float32", "int8"))]
    assert document["clips"] == 12
    assert "six voices at once (other recorded noise was not at hand)" in page([document])
    assert "fold 1, voices: " in capsys.readouterr().err
    # What was made is not made again, and noise that is named is taken.
    given.noise = tmp_path / "babble"
    again = make_robustness.measured(given)
    assert len(made) == 2
    assert again["rows"] == document["rows"]
    assert again["disturbances"][1]["meaning"] == "recordings of babble"


def test_nobody_whom_a_network_has_learnt_talks_in_the_noise(references):
    clips, meaning = make_robustness.voices(references[:1])
    inputs = references[0].inputs
    parts = {
        part: {clip.speaker_key for clip in inputs.partition.clips(inputs.manifest, part)}
        for part in ("train", "validation", "test")
    }
    assert {clip.speaker_key for clip in clips} == parts["validation"]
    assert meaning.endswith("of speakers that no run was trained on")
    # Each of the folds has learnt whom another one tests.
    everybody, anyone = make_robustness.voices(references)
    assert {clip.speaker_key for clip in everybody} == set().union(*parts.values())
    assert anyone == make_robustness.BABBLE


def test_a_new_document_takes_the_place_of_its_recipes(measured):
    other = {**measured, "recipe": "other"}
    part = {**measured, "part": "validation"}
    new = {**measured, "clips": 1}
    documents = make_robustness.merged([other, measured, part], new)
    assert documents == [other, new, part]
    assert make_robustness.merged([], new) == [new]
