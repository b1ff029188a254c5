"""A network that ser-edge did not train: the files that describe it, and its conversion."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ser_edge_convert.conversion import convert
from ser_edge_convert.errors import BadNetwork, CalibrationError, ConversionRefused
from ser_edge_convert.inputs import RunInputs
from ser_edge_convert.network_file import network_digest
from ser_edge_convert.network_inputs import NetworkInputs
from ser_edge_runtime import Classifier
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.errors import ManifestError, PartitionError, PartitionFileError
from tests.convert import bare_run, toy_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    return folder, bare_run.make(folder)


@pytest.fixture
def files(made, tmp_path):
    """What somebody has who trained with another tool, each file for itself."""
    run = made[1]
    shutil.copy(run.model, tmp_path / "mine.keras")
    shutil.copytree(run.path, tmp_path / "copy")
    (tmp_path / "labels.txt").write_text("\n".join(toy_run.LABELS))
    copy = tmp_path / "copy"
    return {
        "network": tmp_path / "mine.keras",
        "front_end": copy / "front_end.json",
        "labels": tmp_path / "labels.txt",
        "normaliser": copy / "normaliser.json",
        "data": copy / "manifest.csv",
        "partition": copy / "partition.csv",
    }


def attempt(made, inputs, out, *lines, **options):
    folder = made[0]
    settings = {"variant": "int8", "max_drop": 1.0, "calibration_size": 20} | options
    command = bare_run.command(folder, *lines)
    return convert(inputs, out, store=folder / "store", command=command, **settings)


def test_it_becomes_a_model_file_that_classifies(made, files, tmp_path):
    done = attempt(made, NetworkInputs.read(**files), tmp_path / "mine.tflite")
    metadata = read_model_file(done.path).metadata
    assert metadata.name == "mine"
    assert metadata.labels == toy_run.LABELS
    assert metadata.provenance["network"] == network_digest(files["network"])
    assert {"recipe", "seed"}.isdisjoint(metadata.provenance)
    assert metadata.scores["conversion"]["after"]["clips"] == 12 + 9
    assert metadata.scores["parts"] == {}
    assert 0.25 <= metadata.temperature <= 4
    clip = RunInputs.read(made[1]).validation[0]
    found = Classifier.load(done.path).classify_file(made[0] / "recordings" / clip.path)
    assert found.label in toy_run.LABELS


def test_it_says_what_a_run_of_the_same_says(made, files, tmp_path):
    run, own = RunInputs.read(made[1]), NetworkInputs.read(**files)
    assert (own.front_end, own.normaliser) == (run.front_end, run.normaliser)
    assert own.labels == run.labels
    assert set(own.validation) < set(run.validation), "a run's recipe merges calm into neutral"
    assert {own.label_of(clip) for clip in own.validation} == set(toy_run.LABELS)
    clips = own.validation
    np.testing.assert_array_equal(own.classes(clips), run.classes(clips))
    np.testing.assert_array_equal(own.allowed(clips), run.allowed(clips))
    assert own.temperature is None


def test_without_a_normaliser_features_are_fed_as_they_are(files):
    del files["normaliser"]
    assert set(NetworkInputs.read(**files).normaliser.scale) == {1.0}


def test_labels_that_do_not_match_the_output(made, files, tmp_path):
    files["labels"].write_text("angry\nhappy\nsad\n")
    with pytest.raises(BadNetwork) as caught:
        attempt(made, NetworkInputs.read(**files), tmp_path / "mine.tflite")
    text = str(caught.value)
    assert f"gives 4 logits, but {files['labels']} names 3 labels" in text
    assert "\n" not in text
    assert not (tmp_path / "mine.tflite").exists()


def test_a_partition_without_training_clips(made, files, tmp_path):
    text = files["partition"].read_text()
    files["partition"].write_text(text.replace(",train", ",test"))
    with pytest.raises(CalibrationError, match="nothing can be calibrated on"):
        attempt(made, NetworkInputs.read(**files), tmp_path / "mine.tflite")


def test_a_partition_without_validation_clips(made, files, tmp_path):
    text = files["partition"].read_text()
    files["partition"].write_text(text.replace(",validation", ",test"))
    with pytest.raises(ConversionRefused, match=r"partition\.csv: .* keep some speakers back"):
        attempt(made, NetworkInputs.read(**files), tmp_path / "mine.tflite")


def test_a_partition_of_other_recordings(made, files, tmp_path):
    files["partition"].write_text("corpus,stem,part\nother,clip,validation\n")
    with pytest.raises(PartitionError, match="not in the data"):
        attempt(made, NetworkInputs.read(**files), tmp_path / "mine.tflite")


def test_files_that_are_something_else(files):
    for name, fault in (("data", ManifestError), ("partition", PartitionFileError)):
        with pytest.raises(fault) as caught:
            NetworkInputs.read(**files | {name: files["labels"]})
        assert "\n" not in str(caught.value)


def test_a_network_that_is_missing_or_no_network(made, files, tmp_path):
    inputs = NetworkInputs.read(**files | {"network": tmp_path / "none.keras"})
    with pytest.raises(BadNetwork, match=r"name a \.keras file"):
        attempt(made, inputs, tmp_path / "mine.tflite")
    inputs = NetworkInputs.read(**files | {"network": files["labels"]})
    with pytest.raises(BadNetwork, match="not a file that Keras 3 saved"):
        attempt(made, inputs, tmp_path / "mine.tflite")


def test_a_saved_model_is_told_from_other_folders(made, files, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    inputs = NetworkInputs.read(**files | {"network": folder})
    with pytest.raises(BadNetwork, match="Is a directory"):
        attempt(made, inputs, tmp_path / "mine.tflite")
    (folder / "saved_model.pb").write_bytes(b"stands for one")
    (folder / "variables").mkdir()
    (folder / "variables" / "data").write_bytes(b"weights")
    done = attempt(made, inputs, tmp_path / "mine.tflite")
    first = read_model_file(done.path).metadata.provenance["network"]
    assert first == network_digest(folder)
    (folder / "variables" / "data").write_bytes(b"others")
    assert network_digest(folder) != first


def test_what_the_child_says_of_the_softmax_is_kept(made, files, tmp_path):
    line = "facts['softmax'] = 'taken off'"
    done = attempt(made, NetworkInputs.read(**files), tmp_path / "mine.tflite", line)
    assert done.report["provenance"]["softmax"] == "taken off"
