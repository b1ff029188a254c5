"""Each rule of the model file has an error class and, here, a test of that name."""

from __future__ import annotations

import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime import errors, model_file, stored_zip
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import (
    FlatbufferDigestMismatch,
    GoldenInvalid,
    LabelsMismatch,
    MetadataInvalid,
    ModelFileError,
    ModelTooLarge,
    NoMetadata,
    NotAModel,
    SelfTestFailed,
    SpecTensorMismatch,
    UnexpectedMember,
    UnknownFormatVersion,
    UnreadableModel,
    ZipNotCanonical,
)
from ser_edge_runtime.golden import verify_golden
from ser_edge_runtime.metadata import FORMAT_VERSION, TensorInfo
from ser_edge_runtime.model_file import (
    MEMBERS,
    build_model_file,
    default_model_path,
    parse_model_file,
    read_model_file,
)
from ser_edge_runtime.slots import Slots

DATA = Path(__file__).resolve().parent.parent / "data"
V2 = DATA / "format_v2.tflite"


@pytest.fixture(scope="module")
def data():
    return V2.read_bytes()


@pytest.fixture(scope="module")
def model(data):
    return parse_model_file(data, "toy.tflite")


def members_of(data):
    _, members = stored_zip.parse(
        data, most_members=3, largest_zip=len(data), largest_member=len(data)
    )
    return members


def packed(flatbuffer, members):
    return flatbuffer + stored_zip.build(members, len(flatbuffer))


def with_json(model, data, change):
    """The file with ``change(values)`` done to its metadata, faultless otherwise."""
    members = members_of(data)
    values = json.loads(members["ser_edge.json"])
    change(values)
    members["ser_edge.json"] = json.dumps(values).encode()
    return packed(model.flatbuffer, members)


def refused(data, error):
    """Parses ``data``; returns the message of the ``error`` that must come."""
    with pytest.raises(error) as caught:
        parse_model_file(data, "m.tflite")
    message = str(caught.value)
    assert message.startswith("m.tflite: ")
    assert "; " in message
    assert message.isprintable()
    assert caught.value.exit_code == 1
    return message


def test_every_rule_has_a_test_of_its_name():
    rules = {
        name
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, ModelFileError) and cls is not ModelFileError
    }
    tests = {name.removeprefix("test_").split("__")[0] for name in globals()}
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in r)[1:] for r in rules}
    assert snake <= tests, snake - tests


def test_a_whole_file_is_read(model):
    assert model.name == "toy.tflite"
    assert model.metadata.labels == ("calm", "loud", "élevé")
    assert model.flatbuffer[4:8] == b"TFL3"
    assert model.golden.features.shape == model.metadata.front_end.output_shape


def test_read_model_file_takes_strings_and_paths(model):
    for path in (V2, str(V2)):
        found = read_model_file(path)
        assert found.name == str(V2)
        assert found.flatbuffer == model.flatbuffer


def test_a_model_file_does_not_change(model):
    with pytest.raises(FrozenInstanceError):
        model.flatbuffer = b""


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_each_format_is_read_by_this_and_every_later_runtime(version):
    old = read_model_file(DATA / f"format_v{version}.tflite")
    metadata = old.metadata
    assert metadata.format_version == version
    assert metadata.name == "toy"
    assert metadata.front_end.output_shape == (20, 4)
    assert metadata.front_end.names == ("log_mel_0", "log_mel_1", "log_mel_2", "log_mel_3")
    assert metadata.normaliser.mean.tolist() == [-30.5, -32.25, -35.125, np.float32(-40.1)]
    assert metadata.temperature == 1.25
    assert metadata.input == TensorInfo((1, 20, 4), "float32", 0.0, 0)
    assert metadata.output == TensorInfo((1, 3), "float32", 0.0, 0)
    assert (metadata.target, metadata.variant) == ("cpu", "float32")
    assert metadata.provenance == {"recipe": "toy", "seed": 7, "versions": {"numpy": "2.4.6"}}
    assert metadata.scores == {"protocol": "none", "uar": 0.25}
    assert metadata.licence == "MIT: a toy"
    assert metadata.intended_use == "Tests of the file format.\nNothing else."
    assert verify_golden(old, Classifier(old)).passed


def test_built_again_it_is_the_same_byte_for_byte(model, data):
    assert build_model_file(model.flatbuffer, model.metadata, model.golden) == data


def test_building_sets_version_and_digest_itself(model, data):
    stale = replace(model.metadata, format_version=99, flatbuffer_sha256="0" * 64)
    assert build_model_file(model.flatbuffer, stale, model.golden) == data


def test_what_could_not_be_read_is_not_built(model):
    with pytest.raises(SpecTensorMismatch):
        build_model_file(model.flatbuffer, replace(model.metadata, labels=("a", "b")), model.golden)
    with pytest.raises(MetadataInvalid):
        build_model_file(model.flatbuffer, replace(model.metadata, name="\x07"), model.golden)
    with pytest.raises(NotAModel):
        build_model_file(b"no flatbuffer", model.metadata, model.golden)
    with pytest.raises(GoldenInvalid):
        build_model_file(model.flatbuffer, model.metadata, replace(model.golden, sample_rate=16000))


def test_zip_tools_and_numpy_open_it(data):
    with zipfile.ZipFile(V2) as archive:
        assert tuple(archive.namelist()) == MEMBERS
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "calm\nloud\nélevé\n"
        with np.load(io.BytesIO(archive.read("golden.npz"))) as arrays:
            assert arrays["features"].shape == (20, 4)


def test_the_golden_vectors_are_not_read_until_they_are_asked_for(model, data):
    members = {**members_of(data), "golden.npz": b"hostile"}
    found = parse_model_file(packed(model.flatbuffer, members), "m.tflite")
    assert found.metadata == model.metadata


def test_unreadable_model(tmp_path):
    for path in (tmp_path / "none.tflite", tmp_path, tmp_path / "none" / "m.tflite"):
        with pytest.raises(UnreadableModel) as caught:
            read_model_file(path)
        assert str(caught.value).startswith(f"{path}: ")


AS_ANOTHER_USER = """
import os, sys
from ser_edge_runtime.errors import UnreadableModel
from ser_edge_runtime.model_file import read_model_file
from ser_edge_runtime import slots  # noqa: imported while it may be read
if os.getuid() == 0:  # root may read everything
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:]:
    try:
        read_model_file(path)
    except UnreadableModel as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="permissions of POSIX")
def test_unreadable_model__not_permitted():
    """A file, a folder, the record in a folder with slots, and the model in one."""
    with tempfile.TemporaryDirectory(prefix="ser-edge-") as made:
        place = Path(made)
        place.chmod(0o755)  # others come as far as what is closed
        closed = [place / "m.tflite"]
        closed[0].write_bytes(V2.read_bytes())
        for name in ("folder", "record", "model"):
            Slots.at(place / name).install(V2.read_bytes(), None, None)
            closed.append(place / name)
        paths = [
            closed[0],
            closed[1],
            closed[2] / "slots-00000001.json",
            *closed[3].rglob("*.tfl*"),
        ]
        for path in paths:
            path.chmod(0)
        words = [sys.executable, "-c", AS_ANOTHER_USER, *map(str, closed)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        closed[1].chmod(0o755)  # or nobody but root could remove it
    assert done.stderr == ""
    hint = "permission denied; name the .tflite file of a model"
    assert done.stdout.splitlines() == [f"{path}: {hint}" for path in closed]


def test_self_test_failed(model, data, tmp_path):
    golden = replace(model.golden, probabilities=model.golden.probabilities[::-1].copy())
    Slots.at(tmp_path).install(
        build_model_file(model.flatbuffer, model.metadata, golden), None, None
    )
    with pytest.raises(SelfTestFailed, match="golden vectors do not hold here"):
        read_model_file(tmp_path)


def test_model_too_large(model, data, monkeypatch):
    monkeypatch.setattr(model_file, "LARGEST_FILE", len(data) - 1)
    assert "over 0 MiB" in refused(data, ModelTooLarge)


def test_model_too_large__zip(model, data, monkeypatch):
    monkeypatch.setattr(model_file, "LARGEST_ZIP", len(data) - len(model.flatbuffer) - 1)
    assert "its zip has" in refused(data, ModelTooLarge)


def test_model_too_large__member(model, data):
    members = {**members_of(data), "golden.npz": b"\0" * (2 * 1024 * 1024 + 1)}
    message = refused(packed(model.flatbuffer, members), ModelTooLarge)
    assert "'golden.npz' declares 2097153 bytes, over 2097152" in message


def test_no_more_than_the_limit_is_read_of_a_larger_file(tmp_path, monkeypatch):
    monkeypatch.setattr(model_file, "LARGEST_FILE", 1000)
    endless = Path("/dev/zero")
    if not endless.exists():
        endless = tmp_path / "large.tflite"
        endless.write_bytes(bytes(2000))
    with pytest.raises(ModelTooLarge):
        read_model_file(endless)


def test_not_a_model():
    assert "an empty file" in refused(b"", NotAModel)
    for data in (b"x", b"PK\x03\x04rest", b"RIFF\0\0\0\0WAVE", bytes(100)):
        assert "not a TFLite model" in refused(data, NotAModel)


def test_no_metadata():
    message = refused((DATA / "toy_float.tflite").read_bytes(), NoMetadata)
    assert "a plain .tflite without ser-edge metadata" in message
    assert message.endswith(
        "convert its network with: ser-edge convert, or add them with: ser-edge pack"
    )


def test_no_metadata__with_the_label_file_of_other_tools(model):
    refused(packed(model.flatbuffer, {"labels.txt": b"a\nb\n"}), NoMetadata)


def test_zip_not_canonical(model, data):
    members = members_of(data)
    stream = io.BytesIO(model.flatbuffer)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), content)
    assert "not the zip that its members give" in refused(stream.getvalue(), ZipNotCanonical)


def test_zip_not_canonical__something_at_the_end(data):
    for changed in (data + b"\0", data[:-1], data[:-2] + b"\2\0hi"):
        assert "something is missing or added at the end" in refused(changed, ZipNotCanonical)


def test_zip_not_canonical__twice(model, data):
    digest = "flatbuffer_sha256"
    twice = packed(data, members_of(data))
    assert "twice" in refused(twice, ZipNotCanonical)
    whole = replace(model.metadata, **{digest: "0" * 64})
    with pytest.raises(ZipNotCanonical):
        build_model_file(data, whole, model.golden)


def test_unexpected_member(model, data):
    members = members_of(data)
    backwards = dict(reversed(members.items()))
    message = refused(packed(model.flatbuffer, backwards), UnexpectedMember)
    assert "golden.npz, labels.txt, ser_edge.json instead of ser_edge.json, labels.txt" in message
    renamed = {"ser_edge.json": b"{}", "LABELS.TXT": b"", "golden.npz": b""}
    refused(packed(model.flatbuffer, renamed), UnexpectedMember)
    refused(packed(model.flatbuffer, {"ser_edge.json": b"{}"}), UnexpectedMember)


def test_unexpected_member__long_names_make_no_long_message(model):
    members = {"ser_edge.json": b"{}", "x" * 60_000: b""}
    assert len(refused(packed(model.flatbuffer, members), UnexpectedMember)) < 400


def test_metadata_invalid(model, data):
    message = refused(with_json(model, data, lambda v: v.update(temperature=0)), MetadataInvalid)
    assert "temperature must be a number" in message


def test_unknown_format_version(model, data):
    changed = with_json(model, data, lambda v: v.update(format_version=3))
    assert "pip install -U ser-edge" in refused(changed, UnknownFormatVersion)


def test_labels_mismatch(model, data):
    members = {**members_of(data), "labels.txt": b"calm\nloud\n"}
    refused(packed(model.flatbuffer, members), LabelsMismatch)
    refused(with_json(model, data, lambda v: v["labels"].reverse()), LabelsMismatch)


def test_flatbuffer_digest_mismatch(model, data):
    changed = bytearray(model.flatbuffer)
    changed[len(changed) // 2] ^= 1
    refused(packed(bytes(changed), members_of(data)), FlatbufferDigestMismatch)
    refused(packed(model.flatbuffer + b"\0", members_of(data)), FlatbufferDigestMismatch)


def test_spec_tensor_mismatch(model, data):
    def shorter(values):
        values["front_end"]["clip_seconds"] = 0.18

    message = refused(with_json(model, data, shorter), SpecTensorMismatch)
    assert "the front end gives 1 x 19 x 4, the graph takes 1 x 20 x 4" in message


def test_golden_invalid(model, data):
    for content in (b"", b"hostile", b"\x80\x04."):
        members = {**members_of(data), "golden.npz": content}
        found = parse_model_file(packed(model.flatbuffer, members), "m.tflite")
        with pytest.raises(GoldenInvalid, match=r"^m\.tflite: golden\.npz: "):
            _ = found.golden


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 16000}, "another sample rate"),
        ({"features": np.zeros((19, 4), np.float32)}, "another shape"),
        ({"features": np.zeros(80, np.float32)}, "another shape"),
        ({"probabilities": np.zeros(2, np.float32)}, "other classes"),
    ],
)
def test_golden_invalid__for_another_model(model, change, message):
    other = replace(model, golden_npz=replace(model.golden, **change).to_bytes())
    with pytest.raises(GoldenInvalid, match=message):
        _ = other.golden


def test_the_default_model_lies_in_the_package():
    assert default_model_path().parent.name == "models"
    assert default_model_path().parent.parent == Path(model_file.__file__).parent
