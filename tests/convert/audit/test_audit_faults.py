"""What an audit refuses: who is told what, and what is still allowed beside it."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_convert.audit import Limits
from ser_edge_convert.audit.differences import Pair, differences
from ser_edge_convert.audit.files import write_audit
from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.audit.subjects import grouped, read_subjects
from ser_edge_convert.errors import AuditRefused, ConversionRefused
from ser_edge_convert.robustness import measure
from ser_edge_convert.robustness.sampling import sample
from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.front_end import Normaliser
from ser_edge_train.disturbances import CLEAN
from ser_edge_train.predictions import ClipRow, Predictions
from tests.convert.audit import toys

SHARES = ("max_drop", "max_drop_upper", "max_class_drop", "min_agreement")
LABELS = ("calm", "happy", "sad")
NO_SHARE = st.one_of(
    st.floats(max_value=0.0, exclude_max=True, allow_nan=False),
    st.floats(min_value=1.0, exclude_min=True, allow_nan=False),
    st.just(float("nan")),
)


# Limits


@given(name=st.sampled_from(SHARES), value=NO_SHARE)
def test_a_limit_that_is_no_share_is_named_with_its_value(name, value):
    with pytest.raises(ConversionRefused) as caught:
        Limits(**{name: value})
    assert str(caught.value) == f"{name} {value} is no share; choose 0 to 1"
    assert caught.value.exit_code == 2


@given(name=st.sampled_from(SHARES), value=st.floats(min_value=0.0, max_value=1.0))
def test_every_share_is_a_limit_with_both_ends(name, value):
    for allowed in (value, 0.0, 1.0):
        assert getattr(Limits(**{name: allowed}), name) == allowed


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"confidence": 0.49}, "confidence 0.49 is not from 0.5 to below 1"),
        ({"confidence": 1.0}, "confidence 1.0 is not from 0.5 to below 1"),
        ({"confidence": 1.5}, "confidence 1.5 is not from 0.5 to below 1"),
        ({"confidence": -0.5}, "confidence -0.5 is not from 0.5 to below 1"),
        ({"class_clips": 0}, "class_clips 0 is under 1"),
    ],
)
def test_limits_beside_the_shares_have_bounds_of_their_own(values, said):
    with pytest.raises(ConversionRefused) as caught:
        Limits(**values)
    assert str(caught.value) == said


def test_what_lies_just_inside_these_bounds_is_taken():
    below_one = float(np.nextafter(1.0, 0.0))
    assert Limits(confidence=0.5).confidence == 0.5
    assert Limits(confidence=below_one).confidence == below_one
    assert Limits(class_clips=1).class_clips == 1


# Files and their runs


@pytest.fixture(scope="module")
def references(runs):
    return [Reference.read(run) for run in runs]


OTHER_ENDS = {
    "labels": {"labels": ("calm", "sad", "happy")},
    "normaliser": {"normaliser": Normaliser(np.zeros(4), np.full(4, 9.0))},
    "temperature": {"temperature": 1.25},
    "front end": {"front_end": replace(toys.SPEC, window_length=160)},
}


@pytest.mark.parametrize("what", OTHER_ENDS)
def test_a_file_whose_ends_are_not_its_runs_names_both(runs, references, tmp_path, what):
    path = toys.make_model(tmp_path / "m.tflite", runs[1], **OTHER_ENDS[what])
    with pytest.raises(AuditRefused) as caught:
        read_subjects([path], references)
    run = runs[1].path
    assert str(caught.value) == (
        f"{path}: its {what} differs from that of {run}; convert it from the run again"
    )
    good = toys.make_model(path, runs[1])
    (subject,) = read_subjects([good], references)
    assert subject.reference.inputs.run.path == run


def test_two_files_of_one_variant_and_run_are_both_named(runs, references, tmp_path):
    first = toys.make_model(tmp_path / "first.tflite", runs[0], "int8-io")
    again = toys.make_model(tmp_path / "again.tflite", runs[0], "int8-io")
    subjects = read_subjects([first, again], references)
    with pytest.raises(AuditRefused) as caught:
        grouped(subjects, references[:1])
    assert str(caught.value) == (
        f"{again}: is int8-io for cpu of the same run as {first}; audit the two apart"
    )
    for subject in subjects:
        (group,) = grouped([subject], references[:1])
        assert group.subjects == (subject,)


def test_a_reference_without_a_file_of_a_variant_is_named(models, runs, references):
    subjects = read_subjects(models["float32"][:2], references)
    with pytest.raises(AuditRefused) as caught:
        grouped(subjects, references)
    assert str(caught.value) == (
        f"{runs[2].path}: no model file of it is float32 for cpu, as of other references; "
        "convert it too, or name fewer references"
    )
    (group,) = grouped(subjects, references[:2])
    assert len(group.subjects) == 2


# Answers before and after


def table(labels, answers):
    """Sure answers to clips whose labels are the first of the classes."""
    rows = tuple(
        ClipRow("toy", f"c{place}", f"s{place % 2}", "", "test", labels[0])
        for place in range(len(answers))
    )
    return Predictions(labels, rows, np.eye(len(labels))[[labels.index(one) for one in answers]])


def pair(labels, *answers):
    return Pair(f"a run of {len(labels)}", table(labels, answers), table(labels, answers), 0.0)


@pytest.mark.parametrize(
    "other", [("calm", "happy"), ("sad", "happy", "calm"), ("calm", "happy", "sad", "fear")]
)
def test_pairs_of_other_classes_are_not_put_together(other):
    pairs = [pair(LABELS, "calm", "sad"), pair(other, "calm", "happy")]
    with pytest.raises(ValueError, match=r"^the pairs' classes differ$"):
        differences(pairs, {"toy": LABELS})


def test_pairs_of_the_same_classes_in_the_same_order_are():
    pairs = [pair(LABELS, "calm", "sad"), pair(LABELS, "calm", "happy")]
    found = differences(pairs, {"toy": LABELS})
    assert found["agreement"]["clips"] == 4
    assert found["flips"] == []


def test_a_pair_of_other_clips_is_none():
    before, after = table(LABELS, ["calm", "sad"]), table(LABELS, ["calm"])
    with pytest.raises(ValueError, match="a pair must answer the same clips, in one order"):
        Pair("run", before, after, 0.0)


# Samples of disturbed clips


@given(wanted=st.integers(max_value=0), seed=st.integers(0, 9))
def test_a_sample_of_no_clips_is_refused(wanted, seed):
    said = f"{wanted} clips are no sample; name at least 1"
    for tables in ([], [table(LABELS, ["calm", "sad"])]):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            sample(tables, wanted, seed)


@given(wanted=st.integers(1, 9), seed=st.integers(0, 9))
def test_a_sample_of_one_clip_or_more_has_as_many_as_there_are(wanted, seed):
    tables = [table(LABELS, ["calm", "sad"]), table(LABELS, ["happy"])]
    assert sum(map(len, sample(tables, wanted, seed))) == min(wanted, 3)
    assert sample(tables, None, seed) == [[0, 1], [0]]


def test_a_measurement_on_no_clips_hears_none(references, models, tmp_path):
    with pytest.raises(ValueError, match="0 clips are no sample; name at least 1"):
        measure(references, models["float32"], (CLEAN,), tmp_path / "answers", clips=0)
    assert not (tmp_path / "answers").exists()


# The page


@pytest.mark.parametrize("lacking", ["jinja2", "markupsafe"])
def test_a_page_without_its_packages_names_the_extra(monkeypatch, changed, tmp_path, lacking):
    name = "ser_edge_convert.audit.page"
    kept = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(MissingExtra) as caught:
        write_audit(changed, tmp_path / "audit")
    assert str(caught.value) == (
        "the audit's page needs packages that are not installed; "
        "run: pip install 'ser-edge[convert]'"
    )
    assert caught.value.exit_code == 2
    assert not (tmp_path / "audit").exists(), "not even the forms that need no package"
    monkeypatch.undo()
    assert sys.modules[name] is kept
    assert write_audit(changed, tmp_path / "audit").page.is_file()
