"""The report: its numbers, its first line, and a page that stands alone and is well formed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.front_end import FrontEndSpec
from ser_edge_train.coverage import coverage_of
from ser_edge_train.evaluation import allowed_classes, score
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions, softmax
from ser_edge_train.report import ReportError, read_report, write_report
from ser_edge_train.report.history import read_history
from ser_edge_train.report.page import percent
from ser_edge_train.run_directory import RunDirectory
from tests.train.pages import Page
from tests.train.sample_run import make_run

FACTS = {"temperature": 1.25, "parameters": 95432}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose test part was scored, its report, and its page."""
    run = make_run(tmp_path_factory.mktemp("report") / "run")
    report = write_report(run, **FACTS)
    return run, report, Page(run.report_html.read_text())


def copied(finished, tmp_path: Path) -> RunDirectory:
    shutil.copytree(finished[0].path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_the_json_is_what_was_returned(finished):
    run, report, _ = finished
    assert json.loads(run.report_json.read_text()) == report
    assert read_report(run.report_json) == report


def test_the_scores_are_those_of_the_predictions(finished):
    run, report, _ = finished
    predictions = Predictions.read(run.predictions)
    manifest, recipe = Manifest.read(run.manifest), run.read_recipe()
    allowed = allowed_classes(manifest, recipe.labels, recipe.merge)
    assert sorted(report["scores"]) == ["test", "validation"]
    for part in ("validation", "test"):
        expected = score(predictions.of_part(part), allowed, seed=recipe.seed)
        assert report["scores"][part] == expected
    assert "surprise" not in report["scores"]["test"]["corpora"]["crema-d"]["recalls"]


def test_the_origin_can_be_checked(finished):
    run, report, _ = finished
    partition = Partition.read(run.partition)
    assert report["digests"]["recipe"] == run.read_recipe().digest
    assert report["digests"]["manifest"] == Manifest.read(run.manifest).digest
    assert report["digests"]["partition"] == partition.digest
    assert (
        report["digests"]["front_end"] == FrontEndSpec.from_json(run.front_end.read_text()).digest
    )
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in report["digests"].values())
    assert len(set(report["digests"].values())) == len(report["digests"])
    assert report["versions"]["numpy"] == np.__version__
    assert report["protocol"]["parts"]["test"]["clips"] == len(partition.part("test"))
    history = read_history(run.history)
    losses = [row["val_loss"] for row in history]
    recipe = run.read_recipe()
    assert report["model"] == {
        "network": recipe.network.name, "parameters": 95432, "temperature": 1.25,
        "features": list(recipe.spec.output_shape), "epochs": 40,
        "best_epoch": losses.index(min(losses)) + 1, "monitor": "val_loss",
    }  # fmt: skip


def test_the_same_files_give_the_same_bytes(finished, tmp_path):
    run, _, _ = finished
    other = copied(finished, tmp_path)
    other.report_json.unlink()
    write_report(other, **FACTS)
    assert other.report_html.read_bytes() == run.report_html.read_bytes()
    assert other.report_json.read_bytes() == run.report_json.read_bytes()


def test_another_process_gives_the_same_page(finished, tmp_path):
    run, _, _ = finished
    other = copied(finished, tmp_path)
    code = (
        "import sys; from ser_edge_train.report import write_report;"
        "write_report(sys.argv[1]); print('keras' in sys.modules, 'tensorflow' in sys.modules,"
        "'matplotlib.pyplot' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(other.path)], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["False", "False", "False"]
    assert other.report_html.read_bytes() == run.report_html.read_bytes()


def test_a_report_written_anew_keeps_what_only_the_training_knew(finished, tmp_path):
    other = copied(finished, tmp_path)
    assert write_report(other)["model"] == finished[1]["model"]
    changed = write_report(other, temperature=2.0, versions={"numpy": "0.1"})
    assert changed["model"]["temperature"] == 2.0
    assert changed["model"]["parameters"] == 95432
    assert write_report(other)["versions"] == {"numpy": "0.1"}


def test_the_page_is_well_formed(finished):
    _, _, page = finished
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert page.tags[0][0] == "html"
    assert page.tags[0][1]["lang"] == "en"
    titles = [tag for tag, _ in page.tags if tag == "h1"]
    assert len(titles) == 1


def test_no_request_leaves_the_page(finished):
    run, _, page = finished
    text = run.report_html.read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert "//" not in text
    assert {pointer for pointer in page.pointers if not pointer.startswith("#")} == {"data:,"}
    assert all(pointer[1:] in page.ids for pointer in page.pointers if pointer.startswith("#"))
    assert page.references
    assert all(target.startswith("#") and target[1:] in page.ids for target in page.references)
    css = "".join(page.styles)
    assert "@import" not in css
    assert "url(" not in css
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {t for t, _ in page.tags}
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_the_page_can_be_read_aloud(finished):
    _, _, page = finished
    assert page.tables
    assert all(table[:1] == ["caption"] and "th" in table for table in page.tables)
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(attributes.get("scope") in ("row", "col") for attributes in heads)
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 4
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert attributes["aria-labelledby"] in page.ids


def test_the_first_line_is_the_protocol(finished):
    _, _, page = finished
    title, *words = page.words
    assert title.startswith("default: ")
    assert title.endswith("% UAR, speaker-disjoint")
    assert words[:3] == [
        "speaker-disjoint",
        "speaker-folds, fold 1, seed 1",
        "no speaker of one part stands in another",
    ]


def test_the_page_holds_the_numbers_of_the_json(finished):
    _, report, page = finished
    scores = report["scores"]["test"]
    words = page.text
    overall = scores["overall"]
    low, high = (percent(end) for end in overall["uar_interval"])
    headline = f"{percent(overall['uar'])} % unweighted average recall, test part"
    assert headline in words
    assert f"95 % interval {low} – {high} %, resampled over {overall['speakers']} speakers" in words
    cells = set(page.words)
    for group in [overall, *scores["corpora"].values(), *scores["sexes"].values()]:
        for name in ("uar", "accuracy", "macro_f1", "ece"):
            assert percent(group[name]) in cells
    for name, group in scores["speakers"].items():
        assert name in cells
        assert percent(group["uar"]) in cells
    for label in overall["confusion"]["labels"]:
        assert {percent(overall[name][label]) for name in ("recalls", "precisions", "f1s")} <= cells
    for row in overall["confusion"]["counts"]:
        assert {str(count) for count in row} <= cells
        assert {f"{100 * count / sum(row):.0f}" for count in row} <= cells
    assert set(report["digests"].values()) <= cells
    assert set(report["versions"].values()) <= cells
    assert "95\N{NARROW NO-BREAK SPACE}432" in cells


def test_the_page_shows_accuracy_against_coverage(finished):
    run, report, _ = finished
    rows = report["coverage"]["test"]
    assert rows == coverage_of(Predictions.read(run.predictions).of_part("test"))
    section = run.report_html.read_text().split("<h2>Coverage</h2>")[1].split("</section>")[0]
    for row in rows:
        assert f'<th scope="row">{row["min_score"]:g}</th>' in section
        assert f">{percent(row['coverage'])}<" in section
        assert f">{percent(row['accuracy'])}<" in section


def test_the_pictures_follow_the_colours_and_the_type_of_the_page(finished):
    run, _, _ = finished
    for picture in re.findall(r"<svg.*?</svg>", run.report_html.read_text(), re.DOTALL):
        assert not re.search(r"#[0-9a-fA-F]{6}", picture)
        assert "var(--" in picture
        assert "<text" in picture  # text is text, not outlines
        assert "font-family" not in picture
        assert "<metadata" not in picture


def test_without_a_scored_test_part_the_page_says_so(tmp_path):
    run = make_run(tmp_path / "run", parts=("validation",))
    report = write_report(run, **FACTS)
    page = Page(run.report_html.read_text())
    assert list(report["scores"]) == ["validation"]
    assert "The test part has not been scored." in page.text
    assert "unweighted average recall, validation part" in page.text
    assert "not scored" in page.words


def test_a_known_leak_is_on_the_first_line(finished, tmp_path):
    run = copied(finished, tmp_path)
    report = write_report(run, leaks=["augmented <copies> were split"])
    page = Page(run.report_html.read_text())
    assert report["protocol"]["leaks"] == ["augmented <copies> were split"]
    assert "LEAKY speaker-folds, fold 1, seed 1 augmented <copies> were split: these" in page.text
    assert "no speaker of one part stands in another" not in page.text
    assert page.faults == []


def moved(run: RunDirectory, choose) -> None:
    """Writes the run's partition anew with some test clips moved to train."""
    manifest = Manifest.read(run.manifest)
    parts = {(row.corpus, row.stem): row.part for row in Partition.read(run.partition).rows}
    Partition.of(manifest.clips, lambda clip: "train" if choose(clip) else parts[clip.key]).write(
        run.partition
    )


def test_a_shared_speaker_is_found_whatever_the_recipe_says(tmp_path):
    run = make_run(tmp_path / "run", parts=("validation",))
    moved(run, lambda clip: clip.speaker_key == ("ravdess", "02") and clip.take == "1")
    report = write_report(run, **FACTS)
    assert report["protocol"]["leaks"] == ["1 speaker in both train and test"]
    assert report["protocol"]["speaker_disjoint"] is False
    assert "LEAKY" in Page(run.report_html.read_text()).words


def test_unnamed_speakers_prove_nothing(tmp_path):
    run = make_run(tmp_path / "run", parts=("validation",))
    text = run.manifest.read_text()
    run.manifest.write_text(re.sub(r",OAF,", ",unknown:OAF,", text))
    report = write_report(run, **FACTS)
    assert report["protocol"]["leaks"] == []
    assert report["protocol"]["speaker_disjoint"] is False
    assert report["protocol"]["unnamed_speakers"] > 0
    assert "not proved speaker-disjoint" in Page(run.report_html.read_text()).words


def test_what_people_wrote_is_escaped(tmp_path):
    evil = "<script>alert('x')</script> & \"quotes\""
    run = make_run(tmp_path / "run", parts=("test",), summary=evil)
    write_report(run, **FACTS, versions={"<b>lib</b>": "1 < 2"})
    page = Page(run.report_html.read_text())
    assert evil in page.words
    assert "<b>lib</b>" in page.words
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.faults == []


@pytest.mark.parametrize("corpora", [("ravdess",), ("savee",), ("tess",)])
def test_one_corpus_one_speaker_and_one_epoch_make_a_page(tmp_path, corpora):
    run = make_run(tmp_path / "run", parts=("test",))
    manifest = Manifest.read(run.manifest).select(corpora)
    partition = Partition.read(run.partition)
    manifest.write(run.manifest)
    Partition(tuple(row for row in partition.rows if row.corpus in corpora)).write(run.partition)
    predictions = Predictions.read(run.predictions)
    predictions.where([row.corpus in corpora for row in predictions]).write(run.predictions)
    run.history.write_text("epoch,loss,uar\n1,2.0,0.1\n")
    report = write_report(run, **FACTS)
    page = Page(run.report_html.read_text())
    assert page.faults == []
    assert report["model"]["best_epoch"] == 1
    one = report["scores"]["test"]["overall"]["speakers"] == 1
    assert ("no interval: the part has one speaker only" in page.text) == one
    assert "1 epoch; the weights of epoch 1 were kept" in page.text


def test_a_class_that_nobody_said_has_no_recall(tmp_path):
    run = make_run(tmp_path / "run", parts=("test",))
    predictions = Predictions.read(run.predictions)
    predictions.where([row.label != "calm" for row in predictions]).write(run.predictions)
    report = write_report(run, **FACTS)
    assert report["scores"]["test"]["overall"]["recalls"]["calm"] is None
    page = Page(run.report_html.read_text())
    assert page.faults == []
    assert "–" in page.words


def test_merged_labels_are_named(tmp_path):
    labels = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    run = make_run(tmp_path / "run", parts=("test",), labels=labels, merge={"calm": "neutral"})
    report = write_report(run, **FACTS)
    assert report["recipe"]["merge"] == {"calm": "neutral"}
    assert report["recipe"]["allowed"]["ravdess"] == labels
    assert "Merged labels: calm counts as neutral" in Page(run.report_html.read_text()).text


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("recipe.toml", "not a run"),
        ("manifest.csv", "manifest.csv: no such file"),
        ("partition.csv", "partition.csv: no such file"),
        ("predictions.csv", "predictions.csv: no such file"),
        ("history.csv", "history.csv: no such file"),
        ("front_end.json", "front_end.json: cannot be read"),
        ("normaliser.json", "normaliser.json: cannot be read"),
        ("model.keras", "model.keras: cannot be read"),
    ],
)
def test_a_missing_file_is_one_line(finished, tmp_path, name, fault):
    run = copied(finished, tmp_path)
    (run.path / name).unlink()
    before = run.report_html.read_bytes()
    with pytest.raises(SerEdgeError, match=fault) as caught:
        write_report(run.path)
    assert "\n" not in str(caught.value)
    assert run.report_html.read_bytes() == before


def test_files_that_do_not_belong_together_are_refused(finished, tmp_path):
    run = copied(finished, tmp_path)
    predictions = Predictions.read(run.predictions)
    moved(run, lambda clip: clip.speaker_key == ("ravdess", "02"))
    with pytest.raises(ReportError, match="is not in the part test of the run"):
        write_report(run)
    other = Predictions(("x", "y"), (), np.zeros((0, 2)))
    other.write(run.predictions)
    with pytest.raises(ReportError, match="its labels are not the recipe's"):
        write_report(run)
    predictions.of_part("train").write(run.predictions)
    with pytest.raises(ReportError, match="holds no clip"):
        write_report(run)
    Manifest.read(run.manifest).select(["savee"]).write(run.manifest)
    with pytest.raises(ReportError, match="is not in the run's manifest"):
        write_report(run)


def test_a_first_report_needs_the_temperature(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(ReportError, match="with it the model's temperature"):
        write_report(run)
    assert not run.report_html.exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "is not JSON"),
        ("[]", "schema version None"),
        ('{"schema_version": 99}', "schema version 99"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_broken_report_is_refused(tmp_path, content, fault):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ReportError, match=fault):
        read_report(tmp_path / "report.json")


def test_a_page_of_perfect_answers_has_no_division_by_nothing(tmp_path):
    run = make_run(tmp_path / "run", parts=("test",))
    predictions = Predictions.read(run.predictions)
    sure = softmax(60.0 * np.eye(len(predictions.labels))[predictions.truth])
    Predictions(predictions.labels, predictions.rows, sure).write(run.predictions)
    report = write_report(run, **FACTS)
    assert report["scores"]["test"]["overall"]["uar"] == 1.0
    assert report["scores"]["test"]["overall"]["uar_interval"] == [1.0, 1.0]
    assert "100.0 % unweighted average recall" in Page(run.report_html.read_text()).text
