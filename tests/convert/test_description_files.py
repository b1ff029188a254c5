"""Front ends, labels and normalisers that people wrote: each fault is one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ser_edge_convert.description_files import read_front_end, read_labels, read_normaliser
from ser_edge_convert.errors import DescriptionFault
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser

SPEC = FrontEndSpec(features=(LogMel(bands=6),), clip_seconds=0.5)


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "given"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refused(read, *arguments) -> str:
    with pytest.raises(DescriptionFault) as caught:
        read(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert str(arguments[0]) in text
    return text


def test_what_was_written_is_read(written):
    assert read_front_end(written(SPEC.to_json())) == SPEC
    assert read_labels(written("angry\nhappy\nsad\n")) == ("angry", "happy", "sad")
    normaliser = Normaliser(np.arange(6, dtype=np.float32), np.full(6, 2, np.float32))
    assert read_normaliser(written(normaliser.to_json()), SPEC) == normaliser


def test_no_normaliser_changes_nothing():
    assert read_normaliser(None, SPEC) == Normaliser.identity(6)


def test_labels_as_editors_leave_them(written):
    assert read_labels(written("\ufeffangry\r\nhappy\r\n\r\n\n")) == ("angry", "happy")
    assert read_labels(written("too hot\n  cold  ")) == ("too hot", "cold")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1 is empty"),
        ("angry\n", "one label"),
        ("angry\n\nsad\n", "line 2 is empty"),
        ("angry\nsad\nangry\n", "angry stands twice"),
        ("angry\nsa\x07d\n", "control characters"),
        (b"angry\n\xff\xfe\n", "UTF-8"),
        ("x\n" * (1 << 20), "over 1 MiB"),
    ],
)
def test_labels_that_are_none(written, text, fault):
    assert fault in refused(read_labels, written(text))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "front end"),
        (json.dumps(SPEC.to_dict() | {"hop_length": -1}), "hop_length"),
        (json.dumps(SPEC.to_dict() | {"clip_seconds": None}), "clip_seconds"),
    ],
)
def test_front_ends_that_are_none(written, text, fault):
    assert fault in refused(read_front_end, written(text))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "normaliser"),
        ('{"mean": [0], "scale": [0]}', "above 0"),
        ('{"mean": [0, 1], "scale": [1, 1]}', "is for 2 features, the front end gives 6"),
    ],
)
def test_normalisers_that_are_none(written, text, fault):
    assert fault in refused(read_normaliser, written(text), SPEC)


def test_files_that_cannot_be_read(tmp_path):
    for path, fault in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        assert fault in refused(read_front_end, path)
        assert fault in refused(read_labels, path)
        assert fault in refused(read_normaliser, path, SPEC)
