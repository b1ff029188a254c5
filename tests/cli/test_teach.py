"""Soft labels on the command line: made, trained on, refused for another fold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ser_edge_train.manifest import Manifest
from tests.train.voices import emotion_recipe, voices

SPEAKERS = 10


@pytest.fixture(scope="module")
def lesson(ser_edge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lesson")
    (folder / "voices").mkdir()
    manifest = voices(folder / "voices", speakers=SPEAKERS)
    manifest.write(folder / "manifest.csv")
    recipe = emotion_recipe(folder, fit__epochs=1).model_copy(update={"speaker_embedding": None})
    (folder / "pupil.toml").write_text(recipe.to_toml())
    draw = np.random.default_rng(0)
    place = {label: index for index, label in enumerate(recipe.labels)}
    rows = [np.eye(8)[place[clip.emotion]] + 0.1 * draw.normal(size=8) for clip in manifest.clips]
    names = np.array([clip.path for clip in manifest.clips])
    np.savez(folder / "encoder.npz", path=names, embedding=np.array(rows, np.float32))
    (folder / "wrong.npz").write_text("no zip")
    wide = np.tile(np.array(rows, np.float32), (1, 40))
    np.savez(folder / "wide.npz", path=names, embedding=wide)

    def step(*words):
        return ser_edge(*words, cwd=folder, SER_EDGE_STORE=str(folder / "store"))

    asked = ("--recipe", "pupil.toml", "--data", "manifest.csv")
    hinted = ("train", *asked, "--processes", "1", "--hint")
    done = {
        "text": step("teach", "encoder.npz", *asked, "--out", "scores.csv"),
        "json": step("teach", "encoder.npz", *asked, "--out", "again.csv", "--json"),
        "wrong": step("teach", "wrong.npz", *asked, "--out", "none.csv"),
        "taught": step("train", *asked, "--run", "taught", "--teacher", "scores.csv",
                       "--processes", "1"),
        "refused": step("train", *asked, "--run", "refused", "--teacher", "scores.csv",
                        "--fold", "2", "--processes", "1"),
        "hinted": step(*hinted, "wide.npz", "--run", "hinted", "--teacher", "scores.csv"),
        "narrow": step(*hinted, "encoder.npz", "--run", "narrow", "--teacher", "scores.csv"),
        "alone": step(*hinted, "encoder.npz", "--run", "alone"),
        "untaught": step("train", "--recipe", "taught/recipe.toml", "--data", "manifest.csv",
                         "--run", "untaught", "--no-teacher", "--processes", "1"),
        "across": step("teach", "encoder.npz", *asked, "--out", "none.csv",
                       "--protocol", "cross-corpus", "--test-corpus", "elsewhere"),
        "both": step("train", *asked, "--run", "both", "--no-teacher", "--teacher", "scores.csv"),
    }  # fmt: skip
    return folder, done


def test_a_table_is_written_and_its_teacher_measured(lesson):
    folder, done = lesson
    assert done["text"].returncode == 0, done["text"].stderr
    text = done["text"].stdout
    assert "training speakers, cross-fitted" in text
    assert "validation speakers" in text
    assert (folder / "scores.csv").read_bytes() == (folder / "again.csv").read_bytes()
    record = json.loads(done["json"].stdout)
    assert record["clips"] == len((folder / "scores.csv").read_text().splitlines()) - 1
    assert record["partition"] == (folder / "scores.csv").read_text().splitlines()[1][65:129]


def test_a_corpus_to_test_goes_to_the_protocol(lesson):
    folder, done = lesson
    (line,) = done["across"].stderr.splitlines()
    assert done["across"].returncode in (1, 2)
    assert "elsewhere" in line
    assert not (folder / "none.csv").exists()


def test_a_run_is_taught_and_its_report_says_so(lesson):
    folder, done = lesson
    assert done["taught"].returncode == 0, done["taught"].stderr
    manifest = Manifest.read(folder / "manifest.csv")
    assert "made by this partition" in done["taught"].stdout
    assert 0 < json.loads(done["json"].stdout)["clips"] < len(manifest.clips)
    report = json.loads((folder / "taught" / "report.json").read_text())
    assert report["teacher"]["learnt_by"] == "this partition"
    page = (folder / "taught" / "report.html").read_text()
    assert "60 % of each training label is a teacher's opinion" in page


def test_a_table_of_another_fold_is_refused_in_one_line(lesson):
    folder, done = lesson
    assert done["refused"].returncode == 1
    (line,) = done["refused"].stderr.splitlines()
    assert "scores.csv" in line
    assert "may have heard who tests its pupil" in line
    assert not (folder / "refused").exists()


def test_a_wrong_file_is_one_line(lesson):
    folder, done = lesson
    assert done["wrong"].returncode == 1
    (line,) = done["wrong"].stderr.splitlines()
    assert "wrong.npz: no .npz file" in line
    assert not (folder / "none.csv").exists()


def test_a_run_with_a_hint_says_so_and_keeps_no_second_head(lesson):
    folder, done = lesson
    assert done["hinted"].returncode == 0, done["hinted"].stderr
    (line,) = [it for it in done["hinted"].stdout.splitlines() if it.startswith("hint: ")]
    assert line.startswith("hint: 256 values of wide.npz, ")
    report, plain = (
        json.loads((folder / name / "report.json").read_text()) for name in ("hinted", "taught")
    )
    assert report["teacher"]["hint"]["components"] == 256
    assert report["model"]["parameters"] == plain["model"]["parameters"]
    assert plain["teacher"]["hint"] is None
    page = (folder / "hinted" / "report.html").read_text()
    assert "A second head, which is not kept, learnt 256 values of its embeddings" in page
    assert "A second head" not in (folder / "taught" / "report.html").read_text()


def test_a_hint_of_too_few_values_is_refused_in_one_line(lesson):
    folder, done = lesson
    assert done["narrow"].returncode == 1
    (line,) = done["narrow"].stderr.splitlines()
    assert line == (
        "ser-edge: encoder.npz: 8 values a recording, 256 are to be learnt; "
        "set teacher.hint.components to fewer"
    )
    assert not (folder / "narrow").exists()


def test_a_hint_without_a_teacher_is_refused_in_one_line(lesson):
    folder, done = lesson
    assert done["alone"].returncode == 2
    (line,) = done["alone"].stderr.splitlines()
    assert "teacher.hint: without a teacher there is no hint" in line
    assert line.endswith("name its scores too: --teacher SCORES")
    assert not (folder / "alone").exists()


def test_without_its_teacher_a_recipe_learns_from_the_labels_alone(lesson):
    folder, done = lesson
    assert done["untaught"].returncode == 0, done["untaught"].stderr
    assert "teacher" not in done["untaught"].stdout
    assert json.loads((folder / "untaught" / "report.json").read_text())["teacher"] is None
    weights = [(folder / name / "model.keras").read_bytes() for name in ("untaught", "taught")]
    assert weights[0] != weights[1]


def test_no_teacher_and_a_teacher_are_not_asked_for_together(lesson):
    folder, done = lesson
    assert done["both"].returncode == 2
    assert "--no-teacher learns from labels alone" in done["both"].stderr
    assert not (folder / "both").exists()
