"""The study of enrolment: its page, what it decided, and its own arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.enrolment import FEWEST, lean
from ser_edge_train.metrics import uar
from tests.scripts import load_script

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = json.loads((DOCS / "enrolment.json").read_text("utf-8"))
LABELS = ("angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.fixture(scope="module")
def script():
    return load_script(DOCS / "study_enrolment.py")


def gain(part, corpus, clips, scenario="any"):
    (row,) = [
        row
        for row in FIGURES
        if (row["part"], row["corpus"], row["clips"]) == (part, corpus, clips)
        and (row["scenario"], row["method"].endswith("as shipped")) == (scenario, True)
    ]
    return row["after"] - row["before"]


def test_the_page_is_what_the_script_writes(script):
    page = (DOCS / "enrolment.md").read_text("utf-8")
    assert page == script.page(FIGURES), "run: python docs/study_enrolment.py"


def test_the_fewest_clips_are_those_from_which_validation_gained_three_points(script):
    counts = [clips for scenario, clips in script.SCENARIOS if scenario == "any"]
    enough = [
        clips
        for clips in counts
        if all(gain("validation", corpus, clips) >= 0.03 for corpus in script.CHOOSING)
    ]
    assert min(enough) == FEWEST
    assert enough == [clips for clips in counts if clips >= FEWEST]


@pytest.mark.parametrize("corpus", ["ravdess", "crema-d"])
def test_what_ships_gains_three_points_on_test_speakers(corpus):
    assert gain("test", corpus, FEWEST) >= 0.03
    assert gain("test", corpus, 30) >= 0.03
    assert gain("test", corpus, 3) < 0.03


def voice(script, corpus="ravdess", clips=64, lean_to=0.0):
    random = np.random.default_rng(5)
    truth = np.arange(clips) % 8
    logs = random.standard_normal((clips, 8)) + 2 * np.eye(8)[truth]
    logs[:, 3] += lean_to
    logs -= logs.mean(1, keepdims=True)
    others = [
        (name, 2 * np.eye(8)[truth] + random.standard_normal((clips, 8)), truth)
        for name in ("ravdess", "ravdess", "crema-d")
    ]
    return script.Voice(1, corpus, "07", LABELS, np.arange(clips), logs, truth, others)


def test_clips_are_drawn_as_the_page_says(script):
    one = voice(script)
    quiet = {LABELS.index("neutral"), LABELS.index("calm")}

    def quiet_of(scenario, clips):
        drawn = script.draw(one, scenario, clips, 0)
        assert len(drawn) == clips
        return sum(int(one.truth[place]) in quiet for place in drawn), len(set(drawn.tolist()))

    assert quiet_of("any", 30)[1] == 30
    assert quiet_of("half quiet", 10) == (5, 10)
    assert quiet_of("70 % quiet", 10) == (7, 10)
    assert quiet_of("quiet", 10) == (10, 10)
    assert quiet_of("quiet, repeated", 40)[0] == 40
    # Two quiet clips at least are left to be scored.
    assert len(script.draw(one, "quiet", 100, 0)) == 14
    assert script.draw(one, "any", 64, 0) is None
    assert script.draw(one, "70 % quiet", 40, 0) is None
    again, other = (script.draw(one, "any", 10, number) for number in (0, 1))
    assert np.array_equal(again, script.draw(one, "any", 10, 0))
    assert not np.array_equal(again, other)


def test_a_tally_counts_before_and_after_on_the_same_clips(script):
    one, tally = voice(script, "crema-d", lean_to=3.0), script.Tally()
    rest = np.arange(30, 64)
    offset = lean(one.logs[:30])
    tally.add(one, rest, one.logs[rest], one.logs[rest] + offset)
    tally.add(one, rest, one.logs[rest], one.logs[rest] + offset)
    figures = tally.figures()
    lacking = ~one.allowed
    assert sorted(np.array(LABELS)[lacking]) == ["calm", "surprise"]
    masked = np.where(lacking, -np.inf, one.logs[rest])
    recall = [np.mean(masked[one.truth[rest] == c].argmax(1) == c) for c in range(8)]
    assert figures["before"] == pytest.approx(np.mean(recall), abs=1e-4)
    assert figures["after"] > figures["before"] + 0.05
    assert figures["speakers"] == 1
    assert figures["interval"] is None
    assert figures["worse"] == 0
    both = np.sum([*tally.before.values()], 0)
    assert both.sum() == 2 * len(rest)
    assert uar(both) == pytest.approx(figures["before"], abs=1e-4)


def test_every_method_gives_an_offset_a_class(script):
    one = voice(script, lean_to=3.0)
    for name, method in script.METHODS.items():
        offset = method(one.logs[:30], one)
        assert offset.shape == (8,), name
        assert np.isfinite(offset).all(), name
    # Those that are to take a lean back do.
    for name in ("(a) difference of mean logits, whole", "(e) offset", "(e) spread evenly"):
        (method, *_) = [m for n, m in script.METHODS.items() if n.startswith(name)]
        assert method(one.logs[:30], one).argmin() == 3, name


def test_class_shares_by_em_find_the_shares_of_a_fair_model(script):
    one = voice(script)
    (method,) = [m for n, m in script.METHODS.items() if n == "(d) class shares by EM"]
    shares = np.exp(method(4 * one.logs[one.truth < 2], one))
    assert shares[:2] == pytest.approx([0.5, 0.5], abs=0.15)


def test_a_normaliser_moves_half_of_the_way_at_five_clips(script):
    usual, own = (
        script.Normaliser(np.full(3, mean), np.full(3, scale))
        for mean, scale in ((0.0, 1.0), (2.0, 4.0))
    )
    moved = dict(script._moved(usual, own, 5))
    assert moved["mean"].mean == pytest.approx(1)
    assert moved["mean"].scale == pytest.approx(1)
    assert moved["mean and scale"].scale == pytest.approx(2)
    assert moved["level"].mean == pytest.approx(1)
