"""The card: its figures from made-up runs, its page, its picture, and what the script writes."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ser_edge.commands.info import _product_use
from ser_edge_convert.card.content import card_content, curve, failures
from ser_edge_convert.card.page import Sources, render
from ser_edge_convert.card.picture import HEIGHT, WIDTH, coverage_svg
from ser_edge_convert.errors import AuditRefused
from ser_edge_convert.packaging import package
from ser_edge_convert.prose import wrapped
from ser_edge_runtime.front_end import Normaliser
from ser_edge_runtime.licences import product_answer
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.evaluation import score, score_together
from ser_edge_train.predictions import ClipRow, Predictions
from tests.convert.audit import toys
from tests.scripts import load_script
from tests.train.fold_runs import fold_run

DOCS = Path(__file__).parents[2] / "docs"
TEACHER = {"name": "a large encoder", "scores": "whisper-1.csv", "weight": 0.6,
           "temperature": 1.0, "learnt_by": "this partition"}  # fmt: skip


make_card = load_script(DOCS / "make_card.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two folds of which the second one's network is in the model file, and ages."""
    folder = tmp_path_factory.mktemp("card")
    runs = [fold_run(folder / f"fold-{fold}", fold) for fold in (1, 2)]
    for run in runs:
        weights = f"weights of {run.path.name}".encode()
        run.model.write_bytes(weights)
        report = json.loads(run.report_json.read_text())
        report["digests"]["model"] = hashlib.sha256(weights).hexdigest()
        run.report_json.write_text(json.dumps(report))
    write_model(folder / "small.tflite", network_of(runs[1]))
    lines = ["ActorID,Age,Sex", *(f"{1001 + n},{20 + 2 * n},Male" for n in range(30))]
    (folder / "VideoDemographics.csv").write_text("\n".join(lines) + "\n")
    return folder, runs


def network_of(run):
    return hashlib.sha256(run.model.read_bytes()).hexdigest()


def write_model(path, network, **changes):
    scores = {"parts": {"test": {"corpora": {"crema-d": {}}}}}
    values = {
        "name": "a small one", "labels": toys.LABELS, "front_end": toys.SPEC, "temperature": 1.5,
        "normaliser": Normaliser.identity(4), "target": "cpu", "variant": "int8",
        "provenance": {"network": network, "corpora": ["crema-d", "tess"]}, "scores": scores,
        "licence": "ask us", "intended_use": "Tests.",
    }  # fmt: skip
    path.write_bytes(package(toys.flatbuffer("toy_int8"), **{**values, **changes}))
    return path


@pytest.fixture(scope="module")
def content(place):
    folder, runs = place
    ages = folder / "VideoDemographics.csv"
    return card_content(folder / "small.tflite", runs, ages=ages)


@pytest.fixture
def sources(place, content):
    return Sources(
        content=content,
        metadata=read_model_file(place[0] / "small.tflite").metadata,
        front_end=["8000 Hz", "four bands"],
        shipped="| corpus |\n|---|\n| ravdess |\n",
        family=["| `--model` |", "|---|", "| `small` |"],
        robustness=(),
        audits=(),
        docs="../docs/",
        licence_file="LICENSE.weights.txt",
        curve="small-coverage.svg",
    )


def tables_of(runs, part="test"):
    return [Predictions.read(run.predictions).of_part(part) for run in runs]


# The figures


def test_the_recipes_scores_are_those_of_all_folds_together(place, content):
    _, runs = place
    report = json.loads(runs[0].report_json.read_text())
    allowed, tables = report["recipe"]["allowed"], tables_of(runs)
    (protocol,) = content["protocols"]
    assert (protocol["name"], protocol["folds"]) == ("speaker-folds", [1, 2])
    assert [row["corpus"] for row in protocol["rows"]] == [
        "crema-d", "ravdess", "savee", "tess", "all"]  # fmt: skip
    together = score_together(tables, allowed)
    apart = [score(table, allowed) for table in tables]
    for row in protocol["rows"]:
        whole = (
            together["overall"] if row["corpus"] == "all" else together["corpora"][row["corpus"]]
        )
        assert (row["uar"], row["answers"]) == (whole["uar"], whole["clips"])
        if row["corpus"] != "all":
            uars = [one["corpora"][row["corpus"]]["uar"] for one in apart]
            assert row["mean"] == pytest.approx(np.mean(uars))
            assert row["sd"] == pytest.approx(np.std(uars, ddof=1))
    assert content["calibration"]["recipe"]["all"] == together["overall"]["ece"]
    assert content["calibration"]["shipped"]["all"] == apart[1]["overall"]["ece"]


def test_the_content_says_what_it_is_of(place, content):
    folder, runs = place
    data = (folder / "small.tflite").read_bytes()
    assert content["sha256"] == hashlib.sha256(data).hexdigest()
    assert content["sha256_of_network"] == network_of(runs[1])
    assert (content["file"], content["bytes"], content["part"]) == (
        "small.tflite",
        len(data),
        "test",
    )
    assert {one["corpus"]: one["speakers"] for one in content["data"]} == {
        "crema-d": 30, "ravdess": 24, "savee": 4, "tess": 2}  # fmt: skip
    assert content["teacher"] is None
    assert {one["corpus"] for one in content["groups"]["sex"]} == {"crema-d", "ravdess"}
    assert {one["corpus"] for one in content["groups"]["age"]} == {"crema-d"}
    json.dumps(content, allow_nan=False)


def test_other_parts_and_no_ages(place):
    folder, runs = place
    found = card_content(folder / "small.tflite", runs, part="validation")
    assert found["groups"]["age"] is None
    answers = next(r["answers"] for r in found["protocols"][0]["rows"] if r["corpus"] == "all")
    assert answers == sum(map(len, tables_of(runs, "validation")))


def test_what_a_card_cannot_be_made_of(place, tmp_path):
    folder, runs = place
    with pytest.raises(AuditRefused, match="made from none of the runs"):
        card_content(folder / "small.tflite", runs[:1])
    other = fold_run(tmp_path / "other", 3, fit={"epochs": 7})
    with pytest.raises(AuditRefused, match=r"of another recipe than .*fold-1 \(fit"):
        card_content(folder / "small.tflite", [*runs, other])
    unscored = fold_run(tmp_path / "unscored", 3, parts=("validation",))
    with pytest.raises(AuditRefused, match="its test part was not scored"):
        card_content(folder / "small.tflite", [*runs, unscored])


def test_the_curve_by_hand():
    rows = tuple(ClipRow("c", f"{n}", "s", "", "test", "a") for n in range(4))
    table = Predictions(
        ("a", "b"), rows, np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    )
    # From the surest: wrong (0.9), right (0.8), wrong (0.7), right (0.6).
    assert curve([table], 4) == [[0.25, 0.0], [0.5, 0.5], [0.75, 0.3333], [1.0, 0.5]]
    assert curve([table], 2) == [[0.5, 0.5], [1.0, 0.5]]
    assert curve([table.where([1, 0, 0, 0])], 50) == [[1.0, 1.0]]


def test_failures_by_hand():
    confusion = {"labels": ["a", "b", "c"], "counts": [[6, 4, 0], [1, 9, 0], [0, 0, 0]]}
    speakers = {f"x/{n}": {"uar": n / 10} for n in range(11)} | {"y/1": {"uar": 0.5}}
    scores = {"corpora": {"x": {"confusion": confusion}}, "speakers": speakers}
    found = failures(scores)
    assert found["confusions"] == [
        {"corpus": "x", "label": "a", "answer": "b", "share": 0.4},
        {"corpus": "x", "label": "b", "answer": "a", "share": 0.1},
    ]
    assert found["speakers"] == [
        {"corpus": "x", "speakers": 11, "lowest": 0.0, "tenth": 0.1, "middle": 0.5, "highest": 1.0}
    ]


# The page


def headings(text):
    return [line for line in text.splitlines() if line.startswith("#")]


def test_what_must_be_known_first_comes_first(sources):
    text = render(sources)
    assert headings(text)[:5] == [
        "# Model card: a small one", "## May I use it in a product?",
        "## What it must not be used for", "## Whom it hears worse", "## Scores",
    ]  # fmt: skip


def test_how_the_weights_are_written_is_said_in_words(sources):
    first = " ".join(render(sources).split("##")[0].split())
    assert (
        "written as int8: weights and activations in 8 bits, float32 at both ends. It hears:"
        in first
    )
    metadata = replace(sources.metadata, variant="dynamic")
    first = " ".join(render(replace(sources, metadata=metadata)).split("##")[0].split())
    assert "written as dynamic: weights in 8 bits, activations quantised on the fly" in first


def test_the_product_line_is_infos_and_one_line(sources):
    text = render(sources)
    answer = _product_use(sources.metadata)
    assert answer == product_answer(["crema-d", "tess"], "ask us")
    assert f"\n\n{answer}\n\n" in text
    assert "Licence of the weights: ask us ([LICENSE.weights.txt](LICENSE.weights.txt))." in text


def test_lines_are_short_and_tables_whole(sources):
    lines = render(sources).splitlines()
    answer = _product_use(sources.metadata)
    assert max(len(line) for line in lines if line[:1] != "|" and line != answer) <= 100
    for above, below in pairwise(lines):
        if above[:1] == below[:1] == "|":
            assert above.count("|") == below.count("|")


def test_wide_gaps_stand_on_the_first_page_with_intervals(sources):
    found = json.loads(json.dumps(sources.content))
    for one in found["groups"]["sex"]:
        if one["corpus"] == "ravdess":
            sign = 1 if one["group"] == "female" else -1
            ends = sorted((sign * 0.02, sign * 0.2))
            one["uar"] |= {"gap": sign * 0.11, "gap_interval": ends}
    text = " ".join(render(replace(sources, content=found)).split())
    line = "**RAVDESS, female speakers: UAR 11.0 points higher than the other speakers' "
    line += "(2.0 to 20.0).**"
    assert line in text
    assert text.index(line) < text.index("## Scores")
    for of in found["groups"].values():
        for one in of:
            for measure in (one["uar"], *one["recalls"].values()):
                measure |= {"gap": 0.01, "gap_interval": [-0.1, 0.1]}
    text = " ".join(render(replace(sources, content=found)).split())
    assert "No group's UAR is over 5 points from that of the other speakers." in text


def test_what_is_not_known_is_said(sources):
    content = {**sources.content, "groups": {**sources.content["groups"], "age": None}}
    text = render(replace(sources, content=content))
    assert "By age nothing is said: the speakers' ages were not at hand." in text
    assert "\nBy age: not known.\n" in text
    assert "\nNot audited yet.\n" in text
    assert "\nNot measured yet.\n" in text


def test_robustness_and_audit_are_those_of_the_network(sources):
    robustness = json.loads((DOCS / "robustness.json").read_text("utf-8"))
    audits = json.loads((DOCS / "audits.json").read_text("utf-8"))["audits"]
    both = replace(sources, robustness=robustness, audits=audits)
    assert "Not measured yet." in render(both)

    def text(**content):
        content = {**sources.content, **content}
        return " ".join(render(replace(both, content=content)).split())

    heard = text(sha256_of_network=robustness[0]["runs"][0]["digests"]["model"])
    assert "| white noise | crema-d |" in heard
    # All folds of a recipe, not the one that ships alone.
    most = max(audits, key=lambda one: len(one["references"]))
    network = most["references"][0]["digests"]["model"]
    audited = text(sha256_of_network=network)
    assert f"int8, against the float networks of {len(most['references'])} folds, " in audited
    assert len(most["references"]) > 1
    assert "audit.md](../docs/audit.md)" in audited
    assert "on its own" not in audited
    shipped = audits[0]["variants"][3]["files"][0]["sha256"]
    own = text(sha256_of_network=network, sha256=shipped)
    assert "The file that ships, on its own: int8, against the float network of 1 fold, " in own


def test_validation_speakers_are_said_to_flatter(sources):
    text = render(replace(sources, content={**sources.content, "part": "validation"}))
    assert "**Validation speakers chose the epochs, so these figures flatter.**" in text
    assert "flatter" not in render(sources)


def test_a_teacher_is_named_and_what_it_may_have_heard(sources):
    assert "teacher" not in render(sources)

    def text(teacher):
        content = {**sources.content, "teacher": teacher}
        return " ".join(render(replace(sources, content=content)).split())

    words = text(TEACHER)
    assert "**A teacher was used**: a large encoder (weight 0.6; its head learnt from this" in words
    assert "is undisclosed and may hold these very clips" in words
    nameless = text({**TEACHER, "name": None, "learnt_by": "nobody knows"})
    assert "the model that made the table `whisper-1.csv`" in nameless
    assert "whose speakers its head learnt from is not known" in nameless
    assert "second head" not in words + nameless
    assert "test speakers. The encoder heard them." not in words
    noted = text({**TEACHER, "note": "The encoder heard them."})
    assert "been wholly unheard. The encoder heard them. " in noted + " "
    hinted = text({**TEACHER, "hint": {"components": 256, "weight": 3.0}})
    assert "a second head, not kept, learnt 256 values of its embedding with weight 3;" in hinted


def test_calibration_is_held_to_its_bound(sources):
    def verdict(values):
        calibration = {"recipe": values, "shipped": {}}
        content = {**sources.content, "calibration": calibration}
        return " ".join(render(replace(sources, content=content)).split())

    assert "the bound is 5 %. All are within it." in verdict({"crema-d": 0.05, "all": 0.01})
    assert "Over the bound: CREMA-D 5.1 %." in verdict({"crema-d": 0.051, "all": 0.01})


def test_wrapping_keeps_what_must_stay_whole():
    long = "word " * 40
    assert wrapped([long.strip()]).count("\n") == 2
    assert all(line.startswith(("- ", "  ")) for line in wrapped([f"- {long}"]).splitlines())
    for length in range(90, 104):
        assert "\n%" not in wrapped(["x" * length + " 5.8 % of all"])
    for whole in (f"| {long}|", f"# {long}", f"    {long}", f"Yes: {long}"):
        assert wrapped([whole], ("Yes: ",)) == f"{whole}\n"


# The picture


def test_the_picture_is_svg_within_its_frame(content):
    text = coverage_svg(content["curves"])
    assert text == coverage_svg(json.loads(json.dumps(content["curves"])))
    lines = ElementTree.fromstring(text).findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) > 10
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert coverage_svg({"recipe": [[1.0, 1.0]], "shipped": [[1.0, 1.0]]}).count("polyline") == 2


# The script


def run_script(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["make_card.py", *map(str, words)])
    make_card.main()


def test_the_script_writes_a_members_card_and_keeps_its_figures(place, monkeypatch, tmp_path):
    folder, runs = place
    model, cards = folder / "small.tflite", tmp_path / "cards.json"
    ages = folder / "VideoDemographics.csv"
    paths = [run.path for run in runs]
    run_script(monkeypatch, *paths, "--model", model, "--ages", ages, "--cards", cards)
    card, picture = folder / "small.md", folder / "small-coverage.svg"
    first = card.read_bytes(), picture.read_bytes(), cards.read_bytes()
    assert first[0].startswith(b"# Model card: a small one\n")
    assert f"]({picture.name})".encode() in first[0]
    # Its licence names no file, so that of the other models is not its own.
    assert b"Licence of the weights: ask us. The code" in first[0]
    # From the kept figures alone the same comes out.
    card.unlink()
    run_script(monkeypatch, "--model", model, "--cards", cards)
    assert (card.read_bytes(), picture.read_bytes(), cards.read_bytes()) == first
    # Another member's figures stay when one is written anew.
    kept = json.loads(cards.read_text())
    cards.write_text(json.dumps({**kept, "other.tflite": {"x": 1}}))
    run_script(monkeypatch, *paths, "--model", model, "--cards", cards)
    assert json.loads(cards.read_text())["other.tflite"] == {"x": 1}


def test_the_script_says_what_it_lacks(place, monkeypatch, tmp_path):
    folder, runs = place
    with pytest.raises(SystemExit, match=r"knows nothing of small\.tflite; name the runs"):
        run_script(monkeypatch, "--model", folder / "small.tflite", "--cards", tmp_path / "none")
    with pytest.raises(SystemExit, match="made from none of the runs"):
        run_script(monkeypatch, runs[0].path, "--model", folder / "small.tflite",
                   "--cards", tmp_path / "none")  # fmt: skip
