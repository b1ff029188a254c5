"""Models that come with the package are found by name, everywhere a model file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_edge_runtime import model_file
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import NotAModel, UnreadableModel
from ser_edge_runtime.model_file import find_model, read_model_file
from tests.conftest import ROOT

V2 = ROOT / "tests" / "data" / "format_v2.tflite"


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """A package that comes with the models default and small, and an empty current folder."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("default", "small"):
        (folder / f"{name}.tflite").write_bytes(V2.read_bytes())
    monkeypatch.setattr(model_file, "default_model_path", lambda: folder / "default.tflite")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return folder


def test_a_model_that_comes_with_the_package_is_found_by_its_name(carried):
    assert find_model() == find_model("default") == str(carried / "default.tflite")
    assert find_model("small") == str(carried / "small.tflite")
    assert read_model_file("small").flatbuffer == read_model_file(V2).flatbuffer


def test_a_file_of_that_name_comes_first(carried):
    Path("small").write_bytes(b"mine")
    assert find_model("small") == "small"
    with pytest.raises(NotAModel, match=r"^small: "):
        read_model_file("small")


@pytest.mark.parametrize("given", ["small.tflite", "./small", "../models/small.tflite", "", "a b"])
def test_what_is_no_name_stays_as_it_is(carried, given):
    assert find_model(given) == given


def test_a_name_that_no_model_has_is_answered_with_those_there_are(carried):
    with pytest.raises(UnreadableModel) as caught:
        read_model_file("smal")
    assert str(caught.value) == (
        "smal: no such file or directory, and no model that comes with ser-edge "
        "(default, small); name the .tflite file of a model"
    )
    with pytest.raises(UnreadableModel) as caught:
        read_model_file("smal.tflite")
    assert "comes with" not in str(caught.value)


def test_a_classifier_is_loaded_by_name(carried):
    assert Classifier.load("small").labels == Classifier.load(V2).labels
