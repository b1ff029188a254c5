"""Recalls of groups of speakers and the gaps between them, by hand and on made-up voices."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_train import metrics
from ser_edge_train.errors import TableError
from ser_edge_train.fairness import (
    AGES,
    age_group,
    age_group_of,
    find_ages,
    groups,
    read_ages,
    sex_of,
    wide_gaps,
)
from ser_edge_train.predictions import ClipRow, Predictions

LABELS = ("angry", "calm", "sad")
ALLOWED = {"own": ("angry", "sad"), "crema-d": ("angry", "calm", "sad"), "few": ("angry", "sad")}
TABLE = "ActorID,Age,Sex\n1001,51,Male\n1002,21,Female\n"


def table_of(voices, corpus="own", clips=10):
    """Speakers with a sex and the share of their sad clips that are heard as sad."""
    rows, answers = [], []
    for name, (sex, right) in voices.items():
        for number in range(clips):
            for label in ("angry", "sad"):
                rows.append(ClipRow(corpus, f"{name}-{label}-{number}", name, sex, "test", label))
                good = label == "angry" or number < round(clips * right)
                # Among all classes "calm" would be the answer: the corpus has none.
                answers.append([0.2, 0.5, 0.3] if good == (label == "sad") else [0.3, 0.5, 0.2])
    return Predictions(LABELS, tuple(rows), np.array(answers))


VOICES = {"a": ("female", 0.9), "b": ("female", 0.9), "c": ("female", 0.6),
          "x": ("male", 0.5), "y": ("male", 0.4), "z": ("male", 0.3)}  # fmt: skip


@pytest.fixture(scope="module")
def scored():
    return groups([table_of(VOICES)], ALLOWED, sex_of)


def test_values_and_gaps_by_hand(scored):
    female, male = scored
    assert [(one["group"], one["speakers"], one["clips"]) for one in scored] == [
        ("female", 3, 60), ("male", 3, 60)]  # fmt: skip
    assert female["recalls"]["sad"]["value"] == pytest.approx(0.8)
    assert male["recalls"]["sad"]["value"] == pytest.approx(0.4)
    assert female["uar"]["value"] == pytest.approx(0.9)
    assert female["uar"]["gap"] == pytest.approx(0.2) == -male["uar"]["gap"]
    assert female["recalls"]["angry"]["gap"] == 0
    assert set(female["recalls"]) == {"angry", "sad"}


def test_intervals_hold_the_values_and_are_over_speakers(scored):
    for one in scored:
        low, high = one["recalls"]["sad"]["interval"]
        assert low <= one["recalls"]["sad"]["value"] <= high
        # The worst and the best speaker are the ends of what can be drawn.
        assert {low, high} <= {0.6, 0.9} | {0.3, 0.5}
    low, high = scored[0]["recalls"]["sad"]["gap_interval"]
    assert 0 < low < 0.4 < high <= 0.6


def test_several_folds_count_as_one(scored):
    table = table_of(VOICES)
    parts = [table.where([row.speaker in "abx" for row in table]),
             table.where([row.speaker in "cyz" for row in table])]  # fmt: skip
    assert groups(parts, ALLOWED, sex_of) == scored
    # The same speaker in two folds is one speaker with more answers.
    (female, _) = groups([table, table], ALLOWED, sex_of)
    assert (female["speakers"], female["clips"]) == (3, 120)
    assert female["uar"] == scored[0]["uar"]


def test_groups_of_too_few_speakers_are_left_out():
    lone = {name: VOICES[name] for name in "abxyz"}
    assert groups([table_of(lone, "few")], ALLOWED, sex_of) == []
    unknown = {name: ("", right) for name, (_, right) in VOICES.items()}
    assert groups([table_of(unknown)], ALLOWED, sex_of) == []


def test_wide_gaps_are_the_better_groups_first_of_all_the_widest(scored):
    uars, classes = wide_gaps(scored)
    assert [(one["group"], one["label"]) for one in uars] == [("female", "")]
    assert [(one["group"], one["label"]) for one in classes] == [("female", "sad")]
    assert classes[0]["sure"] is True
    assert wide_gaps(scored, 0.5) == ([], [])
    assert wide_gaps([]) == ([], [])


def test_a_gap_that_may_be_none_is_not_sure():
    voices = {**VOICES, "a": ("female", 0.0), "x": ("male", 0.1)}
    (gap,) = wide_gaps(groups([table_of(voices)], ALLOWED, sex_of))[1]
    assert gap["sure"] is False
    assert gap["interval"][0] < 0 < gap["interval"][1]


def test_of_three_groups_each_gap_is_told():
    names = [*"abcdefxyz"]
    ages = {("own", name): 20 + 15 * (place // 3) for place, name in enumerate(names)}
    shares = [0.9] * 3 + [0.5] * 3 + [0.1] * 3
    voices = {name: ("", share) for name, share in zip(names, shares, strict=True)}
    found = groups([table_of(voices)], ALLOWED, age_group_of(ages))
    assert [one["group"] for one in found] == ["under 30", "30 to 44", "45 to 59"]
    gaps = wide_gaps(found)[1]
    assert {(one["group"], round(one["gap"], 3)) for one in gaps} == {
        ("under 30", 0.6), ("45 to 59", -0.6)}  # fmt: skip
    # Speakers of unknown age stand in no group and are nobody's others.
    ages = {key: years for key, years in ages.items() if years < 50}
    pair = groups([table_of(voices)], ALLOWED, age_group_of(ages))
    assert [one["recalls"]["sad"]["gap"] for one in pair] == pytest.approx([0.4, -0.4])


@pytest.mark.parametrize(
    ("years", "name"),
    [(0, "under 30"), (29, "under 30"), (30, "30 to 44"), (44, "30 to 44"), (59, "45 to 59"),
     (60, "60 and over"), (200, "60 and over")],
)  # fmt: skip
def test_age_groups(years, name):
    assert age_group(years) == name
    assert [low for low, _ in AGES[1:]] == [high + 1 for _, high in AGES[:-1]]


def test_ages_come_from_upstreams_table(tmp_path):
    folder = tmp_path / "crema-d"
    folder.mkdir()
    assert find_ages(tmp_path) is None
    path = folder / "VideoDemographics.csv"
    path.write_text(TABLE)
    assert find_ages(tmp_path) == path
    assert read_ages(path) == {("crema-d", "1001"): 51, ("crema-d", "1002"): 21}


@pytest.mark.parametrize(
    ("text", "fault"),
    [("ActorID,Sex\n", "no columns ActorID and Age"), ("", "no columns"),
     (TABLE.replace("51", "old"), ":2: Age 'old' is no age"), (TABLE + "1003\n", ":4: Age '' is"),
     (TABLE.replace("21", "-3"), ":3: Age '-3'"), (TABLE.replace("21", "201"), ":3: Age '201'"),
     ("Age,ActorID\n51,1001\n21\n", ":3: no ActorID"), ("Age,ActorID\n51, \n", ":2: no ActorID")],
)  # fmt: skip
def test_what_is_no_such_table(tmp_path, text, fault):
    path = tmp_path / "VideoDemographics.csv"
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        read_ages(path)
    assert fault in str(caught.value)


def test_the_corpus_tells_ages_of_all_its_speakers(corpora):
    ages = read_ages(find_ages(corpora))
    assert len(ages) == 91
    assert (min(ages.values()), max(ages.values())) == (20, 74)


def test_an_interval_of_a_difference_draws_each_group_on_its_own():
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 9, (12, 2, 2))
    found = metrics.unpaired_bootstrap_interval(counts, counts)
    assert found.low < 0 < found.high
    paired = metrics.paired_bootstrap_interval(counts, counts)
    assert tuple(paired) == (0, 0)
    assert metrics.unpaired_bootstrap_interval(counts, counts) == found
    assert metrics.unpaired_bootstrap_interval(counts, counts, seed=1) != found
    assert metrics.unpaired_bootstrap_interval(counts, counts[:1]) is None
    assert metrics.unpaired_bootstrap_interval(counts[:1], counts) is None
