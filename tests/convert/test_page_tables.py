"""The tables and sentences of cards and pages, from made-up figures: what stands where."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_convert.audit import limits
from ser_edge_convert.audit.markdown import class_table, flip_line, limits_line
from ser_edge_convert.card.tables import (
    calibration_table,
    cost,
    coverage_table,
    group_table,
    joined,
    of_file,
    of_networks,
    of_variant,
    percent,
    points,
    protocol_table,
    surest,
)
from ser_edge_convert.errors import OutputFailed, one_line_for_disks
from ser_edge_convert.prose import WIDTH, wrapped
from ser_edge_convert.robustness.page import meanings, section, verdicts
from ser_edge_convert.tensor_errors import TensorError
from ser_edge_runtime.wording import in_points


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows_of(lines):
    """The cells of a table's rows; every row has as many as the head."""
    table = [cells(line) for line in lines if line.startswith("|")]
    assert len({len(row) for row in table}) == 1, lines
    assert set("".join(table[1])) <= set("-:")
    return table


# numbers


@given(st.floats(-1, 1))
def test_a_share_in_points_is_its_rounded_hundredfold_without_a_signed_zero(share):
    for text, digits in ((points(share), 1), (in_points(share), 2), (in_points(share, 1), 1)):
        assert float(text) == float(f"{100 * share:.{digits}f}")
        assert len(text.partition(".")[2]) == digits
        assert text.startswith("-") == (float(text) < 0)


@pytest.mark.parametrize(
    ("share", "words"),
    [(-0.00004, "0.00"), (0.00004, "0.00"), (-0.0, "0.00"), (-0.00006, "-0.01"), (0.1, "10.00")],
)
def test_a_loss_too_small_to_be_seen_is_nothing(share, words):
    assert in_points(share) == words
    assert limits.points(share) == f"{words} points"


@pytest.mark.parametrize(("share", "words"), [(None, "none"), (0.0, "0.0 %"), (0.6234, "62.3 %")])
def test_a_share_in_per_cent(share, words):
    assert percent(share) == words


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_in_a_sentence(words, text):
    assert joined(words) == text


# the card


def protocol(**changes):
    row = {
        "corpus": "tess", "classes": 7, "speakers": 2, "answers": 2800, "mean": 0.5, "sd": 0.025,
        "uar": 0.51, "uar_interval": (0.4, 0.6), "accuracy": 0.52,
    }  # fmt: skip
    values = {"name": "speaker-folds", "folds": [1, 2, 3], "leaky": False, "rows": [row]}
    return {**values, "speaker_disjoint": True, **changes}


def test_a_protocols_row():
    lines = protocol_table(protocol())
    assert lines[0] == "speaker-folds, folds 1, 2 and 3, no speaker in two parts:"
    assert rows_of(lines)[2] == [
        "tess", "7", "2", "2800", "50.0 % ± 2.5", "51.0 %", "40.0 to 60.0", "52.0 %",
    ]  # fmt: skip


def test_a_protocol_that_leaks_says_so_first():
    head = protocol_table(protocol(leaky=True, speaker_disjoint=False, folds=[4]))[0]
    assert head == "LEAKY, not comparable: speaker-folds, fold 4, speakers NOT apart:"


def test_corpora_that_no_training_heard_are_said_to_be():
    head = protocol_table(protocol(name="cross-corpus", folds=[1]))[0]
    assert head == (
        "cross-corpus, fold 1, no speaker in two parts, "
        "tested on corpora that the training never heard:"
    )


def test_one_speaker_and_one_fold_have_no_spread():
    row = {**protocol()["rows"][0], "sd": None, "uar_interval": None, "uar": None}
    found = rows_of(protocol_table(protocol(rows=[row])))[2]
    assert found[4:7] == ["50.0 %", "none", "one speaker"]


def measure(value, gap, interval=(0.1, 0.2)):
    return {"value": value, "interval": interval, "gap": gap, "gap_interval": (-0.01, 0.0)}


def group(name, uar, gap, sad=0.5):
    recalls = {"sad": measure(sad, None if sad is None else 0.0)}
    return {"group": name, "speakers": 4, "uar": measure(uar, gap), "recalls": recalls}


def test_of_two_groups_the_gap_stands_once_and_a_wide_one_strong():
    table = rows_of(group_table([group("female", 0.6, 0.0501), group("male", 0.55, -0.0501)]))
    assert table[0] == ["", "female (4 speakers)", "male (4 speakers)", "gap of female"]
    assert table[2] == [
        "UAR", "60.0 (10.0 to 20.0)", "55.0 (10.0 to 20.0)", "**+5.0** (-1.0 to 0.0)",
    ]  # fmt: skip
    assert table[3][3] == "+0.0 (-1.0 to 0.0)"


@pytest.mark.parametrize(
    ("gap", "words"),
    [(0.05, "+5.0 "), (-0.06, "**-6.0** "), (-0.0004, "+0.0 "), (-0.0006, "-0.1 ")],
)
def test_a_gap_in_points(gap, words):
    groups = [group(name, 0.5, gap) for name in ("a", "b", "c")]
    table = rows_of(group_table(groups))
    assert len(table[0]) == 1 + 3 + 3
    assert all(cell.startswith(words) for cell in table[2][4:])


def test_a_class_that_a_group_never_said_has_empty_cells():
    table = rows_of(group_table([group("a", 0.5, 0.0, None), group("b", 0.5, 0.0)]))
    assert table[3][1] == ""
    assert table[3][3] == ""


def test_calibration_and_coverage_stand_beside_each_other():
    table = rows_of(calibration_table({"recipe": {"a": 0.04, "b": 0.1}, "shipped": {"a": 0.05}}))
    assert table[2:] == [["a", "4.0 %", "5.0 %"], ["b", "10.0 %", ""]]
    row = {"min_score": 0.0, "coverage": 1.0, "accuracy": 0.6}
    other = {"min_score": 0.0, "coverage": 0.5, "accuracy": None}
    found = rows_of(coverage_table({"recipe": [row], "shipped": [other]}))
    assert found[2] == ["0", "100.0 %", "60.0 %", "50.0 %", "none"]
    with pytest.raises(ValueError, match="shorter"):
        coverage_table({"recipe": [row], "shipped": []})


def test_the_surest_answers_are_the_last_row_that_has_any():
    rows = [
        {"min_score": 0.5, "coverage": 0.8, "accuracy": 0.7},
        {"min_score": 0.9, "coverage": 0.1, "accuracy": 0.96},
        {"min_score": 0.99, "coverage": 0.0, "accuracy": None},
    ]
    words = surest(rows)
    assert "a score of 0.9 or more, 10.0 % of all, 4.0 % are wrong" in words


# which audit a card tells of


def document(part="test", runs=("m",), clips=10, variants=()):
    named = [{"digests": {"model": model}} for model in runs]
    return {"part": part, "references": named, "clips": clips, "variants": list(variants)}


def test_the_document_that_tells_most_is_of_the_test_part_then_of_most_runs_then_of_most_clips():
    ranked = [
        document(clips=10, runs=("m", "n")),
        document(clips=99),
        document(clips=98),
        document("validation", ("m", "n", "o"), 1000),
    ]
    for best in range(len(ranked)):
        assert of_networks(ranked[best:][::-1], "references", {"m"}) is ranked[best]
    assert of_networks([document(runs=("x",))], "references", {"m"}) is None
    assert of_networks([], "references", {"m"}) is None


def test_a_variant_is_the_one_with_layers_in_floats_or_the_one_without():
    plain = {"variant": "int8", "repaired": False, "files": [{"sha256": "a"}]}
    repaired = {"variant": "int8", "repaired": True, "files": [{"sha256": "b"}]}
    both = {"variant": "int8", "repaired": True, "files": [{"sha256": "a"}, {"sha256": "b"}]}
    found = document(variants=[repaired, plain, both])
    assert of_variant(found, "int8", repaired=False) is plain
    assert of_variant(found, "int8", repaired=True) is repaired
    assert of_variant(document(variants=[plain]), "int8", repaired=True) is plain
    assert of_variant(found, "float16", repaired=False) is None
    assert of_file([document(), found], "b") == (found, repaired)
    assert of_file([found], "c") is None, "a file among several is no figure of its own"


def test_what_a_variant_cost_in_a_sentence():
    variant = {
        "variant": "int8", "passed": True, "repaired": False, "agreement": {"share": 0.991},
        "drops": {"uar": {"value": -0.00002, "interval": [-0.00004, 0.004]}},
    }  # fmt: skip
    audit = {**document(runs=("a", "b"), clips=240), "speakers": 9}
    assert cost(audit, variant) == (
        "int8, against the float networks of 2 folds, 240 clips of 9 test speakers: UAR falls by "
        "0.00 points (0.00 to 0.40), 99.1 % of the answers are the same; the gate of "
        "`ser-edge audit` is passed."
    )
    variant = {**variant, "passed": False, "drops": {"uar": {"value": 0.02, "interval": None}}}
    words = cost({**document(), "speakers": 1}, variant)
    assert "network of 1 fold," in words
    assert "by 2.00 points (2.00 to 2.00)" in words
    assert "is NOT passed" in words
    gained = {"uar": {"value": -0.0108, "interval": [-0.0219, 0.0048]}}
    words = cost({**document(), "speakers": 2}, {**variant, "repaired": True, "drops": gained})
    assert words.startswith("int8 with layers left in floats, against the float network of 1 fold")
    assert "UAR rises by 1.08 points (-0.48 to 2.19), 99.1 %" in words


# audits


def test_classes_of_an_audit_stand_with_what_each_variant_takes():
    def variant(name, drop, interval):
        values = {"clips": 9, "before": 0.75, "drop": drop, "interval": interval}
        none = {"clips": 0, "before": None, "drop": None, "interval": None}
        return {"name": name, "classes": {"sad": values, "calm": none}}

    audit = {
        "limits": {"class_clips": 200},
        "variants": [variant("one", 0.01, [-0.02, 0.03]), variant("two", -0.00001, None)],
    }
    table = rows_of(class_table(audit))
    assert table[0] == ["class", "clips", "network", "one", "two"]
    assert table[2] == ["sad", "9", "75.0", "1.00 (-2.00 to 3.00)", "0.00"]
    assert table[3] == ["calm", "0", "–", "–", "–"]


def test_a_flip_and_the_limits_in_a_line():
    flip = {
        "corpus": "tess", "stem": "x", "label": "sad", "before": "sad", "after": "calm",
        "margin_before": 0.1234, "margin_after": 0.002,
    }  # fmt: skip
    assert flip_line(flip) == "tess x (sad): sad by 12.3 points, then calm by 0.2"
    assert limits_line(limits.Limits().to_dict()) == (
        "UAR may fall by 0.5 points, by 1 at the upper end of its 95 % interval (paired, "
        "resampled over speakers); the recall of a class of 200 clips by 3; 98 % of the answers "
        "must stay the same."
    )


# robustness


def robustness(**changes):
    def row(form, name, corpus, lost):
        return {
            "form": form, "disturbance": name, "corpus": corpus, "clips": 5, "uar": 0.6,
            "lost": lost, "interval": None if corpus == "b" else (lost, lost), "within": lost < 0.1,
        }  # fmt: skip

    forms = ("float32", "int8")
    rows = [row(f, "clean", c, 0.0) for f in forms for c in "ab"]
    rows += [row(f, "noise", c, 0.2 if (f, c) == ("int8", "b") else -0.0001)
             for f in forms for c in "ab"]  # fmt: skip
    values = {
        "recipe": "r", "protocol": "p", "part": "test", "speakers": 3, "clips": 10, "of": 10,
        "seed": 0, "bound": 0.1, "as_reported": 10, "rows": rows,
        "runs": [{"fold": 1}, {"fold": 2}],
        "forms": [{"form": name, "variant": name} for name in forms],
        "disturbances": [{"name": "clean", "meaning": "-"}, {"name": "noise", "meaning": "loud"}],
    }  # fmt: skip
    return {**values, **changes}


def test_what_stays_within_the_bound_on_every_corpus():
    assert verdicts(robustness()) == [
        "- float32: within 10 points of clean on every corpus: noise. Not within: nothing.",
        "- int8: within 10 points of clean on every corpus: nothing. "
        "Not within: **noise** (20.0 on b).",
    ]
    assert meanings(robustness()) == ["- noise: loud"]


def test_a_section_has_a_row_a_disturbance_and_corpus():
    lines = section(robustness())
    assert lines[0] == "## r, p, test speakers"
    assert "All 10 clips of 3 speakers." in lines[2]
    assert "clean answers 10 are those" in lines[2]
    table = rows_of(lines)
    assert [row[:2] for row in table[2:]] == [
        ["clean", "a"], ["clean", "b"], ["noise", "a"], ["noise", "b"],
    ]  # fmt: skip
    assert table[2][3:] == ["60.0", "", "", ""] * 2
    assert table[4][3:7] == ["60.0", "0.0", "0.0 to 0.0", "yes"]
    assert table[5][7:] == ["60.0", "20.0", "one speaker", "**no**"]


def test_a_sample_says_that_it_is_one():
    words = section(robustness(clips=4, part="validation", runs=[{"fold": 3}]))[2]
    assert words.startswith("Fold 3; validation speakers, who chose the epochs")
    assert "4 of 10 clips of 3 speakers, as many of each class" in words
    assert "drawn with seed 0: **a sample" in words


# prose

WORDS = st.lists(st.from_regex(r"[a-z0-9`*.,-]{1,20}|%", fullmatch=True), min_size=1, max_size=60)


@settings(max_examples=25)
@given(WORDS, st.sampled_from(["", "- "]))
def test_a_paragraph_is_cut_between_words_and_loses_none(words, start):
    line = start + " ".join(["w", *words])
    page = wrapped([line])
    assert page.endswith("\n")
    assert page.split() == line.split()
    cut = page.splitlines()
    assert all(len(one) <= WIDTH for one in cut)
    if start:
        assert all(one.startswith("  ") for one in cut[1:])
    if len(line) > WIDTH:
        assert not any(one.strip().startswith("%") for one in cut), "a number keeps its per cent"


@pytest.mark.parametrize("start", ["|", "# ", "    ", "![", "<", "$ "])
def test_what_must_stay_whole_stays_whole(start):
    line = start + "word " * 40 + "end"
    assert wrapped([line], ("$ ",)) == line + "\n"


# activations


@settings(max_examples=60)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_a_tensors_error_is_its_energy_over_that_of_the_difference(values, seed):
    x = np.array(values, np.float32)
    y = x + np.random.default_rng(seed).normal(0, 0.1, len(x)).astype(np.float32)
    found = TensorError.between(x, y)
    signal = math.fsum(float(v) ** 2 for v in x)
    noise = math.fsum((float(v) - float(w)) ** 2 for v, w in zip(x, y, strict=True))
    if signal == 0:
        assert found == TensorError(-math.inf, 0.0)
        return
    if noise:
        assert found.sqnr == pytest.approx(10 * math.log10(signal / noise), abs=1e-6)
        dot = math.fsum(float(v) * float(w) for v, w in zip(x, y, strict=True))
        other = math.fsum(float(w) ** 2 for w in y)
        assert found.cosine == pytest.approx(dot / math.sqrt(signal * other), abs=1e-9)


@pytest.mark.parametrize(
    ("exact", "other", "report"),
    [
        ([1, 2], [1, 2], {"sqnr_db": None, "cosine": 1.0}),
        ([0, 0], [0, 0], {"sqnr_db": None, "cosine": 1.0}),
        ([0, 0], [1, 0], {"sqnr_db": None, "cosine": 0.0}),
        ([2, 0], [0, 0], {"sqnr_db": 0.0, "cosine": 0.0}),
        ([1, 0], [-1, 0], {"sqnr_db": -6.02, "cosine": -1.0}),
    ],
)
def test_a_ratio_that_is_not_finite_is_none_in_a_report(exact, other, report):
    found = TensorError.between(np.float32(exact), np.float32(other))
    assert found.to_dict() == report


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(28, "No space left on device", "/d/x"), "/d/x: cannot be written (No space left"),
        (OSError(28, "No space left on device"), "here: cannot be written (No space left"),
        (OSError("odd"), "here: cannot be written (odd)"),
    ],
)
def test_a_disks_fault_is_one_line(fault, words):
    with pytest.raises(OutputFailed) as caught, one_line_for_disks("here"):
        raise fault
    assert str(caught.value).startswith(words)
    assert "TMPDIR" in str(caught.value)
    with pytest.raises(KeyError), one_line_for_disks("here"):
        raise KeyError
