"""Each file finds its run, and the files of a variant find each other."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.audit.subjects import grouped, read_subjects
from ser_edge_convert.errors import AuditRefused
from ser_edge_runtime.errors import ModelFileError
from ser_edge_runtime.front_end import Normaliser
from tests.convert.audit import toys


@pytest.fixture(scope="module")
def references(runs):
    return [Reference.read(run) for run in runs]


def every(models):
    return [path for of_variant in models.values() for path in of_variant]


def test_each_file_finds_its_run(models, references):
    paths = models["float32"]
    subjects = read_subjects([paths[2], paths[0]], references)
    assert [subject.reference.name for subject in subjects] == ["fold-3", "fold-1"]
    assert subjects[0].data_sha256 == hashlib.sha256(paths[2].read_bytes()).hexdigest()
    assert subjects[0].bytes == paths[2].stat().st_size


def test_a_file_of_no_reference(models, references):
    with pytest.raises(AuditRefused, match=r"none of the references .* --reference") as caught:
        read_subjects(models["float32"], references[:2])
    assert str(caught.value).startswith(str(models["float32"][2]))


def test_a_file_that_names_no_network(runs, references, tmp_path):
    path = toys.make_model(tmp_path / "m.tflite", runs[0], provenance={"network": None})
    with pytest.raises(AuditRefused, match="none of the references"):
        read_subjects([path], references)


def test_a_plain_tflite(references):
    with pytest.raises(ModelFileError, match=r"a plain \.tflite"):
        read_subjects([toys.DATA / "toy_float.tflite"], references)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("labels", {"labels": ("calm", "sad", "happy")}),
        ("normaliser", {"normaliser": Normaliser(np.zeros(4), np.full(4, 9.0))}),
        ("temperature", {"temperature": 1.25}),
        (
            "front end",
            {
                "front_end": toys.FrontEndSpec(
                    sample_rate=8000, fft_length=256, window_length=160, hop_length=80,
                    features=(toys.LogMel(bands=4),), clip_seconds=0.19,
                )
            },
        ),
    ],
)  # fmt: skip
def test_everything_but_the_graph_must_be_the_runs(runs, references, tmp_path, what, changes):
    path = toys.make_model(tmp_path / "m.tflite", runs[0], **changes)
    with pytest.raises(AuditRefused, match=f"its {what} differs from that of"):
        read_subjects([path], references)


def test_files_of_a_variant_are_a_group_in_the_references_order(models, references):
    groups = grouped(read_subjects(reversed(every(models)), references), references)
    assert [group.name for group in groups] == ["float32 for cpu", "int8-io for cpu"]
    for group in groups:
        assert [one.reference.name for one in group.subjects] == ["fold-1", "fold-2", "fold-3"]


def test_a_variant_that_lacks_a_fold(models, references):
    paths = [*models["float32"], *models["int8-io"][:2]]
    with pytest.raises(AuditRefused, match="fold-3: no model file of it is int8-io for cpu"):
        grouped(read_subjects(paths, references), references)


def test_two_files_of_one_variant_and_run(models, references):
    paths = [*models["float32"], models["float32"][0]]
    with pytest.raises(AuditRefused, match=r"of the same run as .* apart"):
        grouped(read_subjects(paths, references), references)


def test_targets_and_repairs_are_variants_of_their_own(runs, references, tmp_path):
    paths = [
        toys.make_model(tmp_path / "a.tflite", runs[0], "int8-io"),
        toys.make_model(tmp_path / "b.tflite", runs[0], "int8-io", target="micro"),
        toys.make_model(
            tmp_path / "c.tflite", runs[0], "int8-io", provenance={"float_layers": ["last"]}
        ),
    ]
    groups = grouped(read_subjects(paths, references), references[:1])
    assert [group.name for group in groups] == [
        "int8-io for cpu", "int8-io for cpu, repaired", "int8-io for micro",
    ]  # fmt: skip
