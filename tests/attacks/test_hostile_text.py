"""JSON and TOML that somebody made on purpose: each reader has one line for it, and no crash.

What Python's own parsers raise beside their documented error: RecursionError for what is nested
too deeply, ValueError for integers of over 4300 digits, OverflowError where one becomes a float.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge.devices.inventory import Report, entries_of
from ser_edge_convert.description_files import read_front_end, read_labels, read_normaliser
from ser_edge_convert.errors import BadNetwork
from ser_edge_convert.network_file import layer_classes
from ser_edge_runtime.archive.job import held
from ser_edge_runtime.benchmark import read_benchmark
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.front_end import FrontEndSpec, Normaliser
from ser_edge_runtime.metadata import Metadata
from ser_edge_runtime.slot_records import Slot, State, number_of, read_record, write_record
from ser_edge_runtime.voice import Voice
from ser_edge_train.distribution import VARIABLE, Distribution, DistributionError
from ser_edge_train.meeting import _heard
from ser_edge_train.recipes import RecipeError, load_recipe, parse_recipe, recipe_text
from ser_edge_train.report.content import read_report
from tests.damaged_zip import damage

DEEP = 100_000
TEXTS = {
    "nothing": b"",
    "a null byte": b"\0",
    "a word": b"hello",
    "half of a table": b'{"a": ',
    "lists without end": b"[" * DEEP,
    "tables without end": b'{"a":' * DEEP,
    "lists without end in TOML": b"a = " + b"[" * DEEP,
    "lists in lists": b"[" * DEEP + b"]" * DEEP,
    "a number of 5000 digits": b"1" * 5000,
    "a table of such a number": b'{"format": ' + b"1" * 5000 + b"}",
    "a number beyond floats": b"1" + b"0" * 400,
    "no number": b"NaN",
    "an endless number": b"-Infinity",
    "null": b"null",
    "a list": b"[]",
    "another table": b'{"a": 1}',
    "a half of a pair": b'{"a": "\\ud800"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "wrong bytes": b'{"a": "\xff"}',
    "a mark and a table": b'\xef\xbb\xbf{"a": 1}',
}

Reader = Callable[[bytes, Path], Any]


def of_text(read: Callable[[str], Any]) -> Reader:
    return lambda data, path: read(data.decode("utf-8", "replace"))


def of_file(read: Callable[[Path], Any]) -> Reader:
    def reader(data: bytes, path: Path) -> Any:
        path.write_bytes(data)
        return read(path)

    return reader


def archived(data: bytes, path: Path) -> None:
    where = path.with_suffix(".job")
    where.write_bytes(data)
    with held(path, where, {"model": "m"}, there=True, resume=True):
        raise AssertionError("an archive of another job was opened")


def clustered(text: str) -> Distribution:
    return Distribution.chosen("multi-worker", None, None, {VARIABLE: text})


READERS: dict[str, Reader] = {
    "front end": of_text(FrontEndSpec.from_json),
    "normaliser": of_text(Normaliser.from_json),
    "metadata": lambda data, path: Metadata.from_json(data, str(path)),
    "voice": Voice.from_json,
    "benchmark": of_file(read_benchmark),
    "archive": archived,
    "report": of_file(read_report),
    "recipe": of_text(lambda text: parse_recipe(text, "r.toml")),
    "recipe's file": lambda data, path: of_file(load_recipe)(data, path.with_suffix(".toml")),
    "inventory": lambda data, path: of_file(lambda file: entries_of(str(file)))(
        data, path.with_suffix(".toml")
    ),
    "TF_CONFIG": of_text(lambda text: clustered(text or " ")),
    "front end's file": of_file(read_front_end),
    "normaliser's file": of_file(lambda path: read_normaliser(path, FrontEndSpec())),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_each_reader_has_a_line_for_it(tmp_path, reader, text):
    with pytest.raises(SerEdgeError) as fault:
        READERS[reader](TEXTS[text], tmp_path / "file.json")
    message = str(fault.value)
    assert message.isprintable()
    assert len(message) < 500 + len(str(tmp_path))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.just(10**400) | st.just(-(10**400)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(
        ["format", "name", "mean", "scale", "cluster", "task", "features", "answers", "labels"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("reader", ["front end", "normaliser", "metadata", "voice", "TF_CONFIG"])
@settings(max_examples=25)
@given(values=VALUES)
def test_any_json_is_read_or_has_a_line(reader, values):
    data = json.dumps(values).encode()
    try:
        READERS[reader](data, Path("file.json"))
        message = ""
    except SerEdgeError as fault:
        message = str(fault)
    assert message.isprintable()


# recipes

QUICK = recipe_text("cnn1d-quick")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("seed = 0x" + "f" * 5000, "seed: .*not a number of thousands of digits"),
        ("summary = 0x" + "f" * 5000, "summary: .*not a number of thousands of digits"),
        ("seed = '" + "x" * 50_000 + "'", "seed: .*, not 'x+…; see"),
        ("seed = " + "1" * 5000, "not TOML: a number of too many digits"),
        ("seed = " + "[" * DEEP, "not TOML: nested too deeply"),
        ("summary." + "a." * 1200 + "a = 1", "summary: Input should be a valid string"),
    ],
)
def test_a_recipes_error_is_short_whatever_stands_in_it(line, words):
    name = line.split(" ")[0].split(".")[0]
    rest = [old for old in QUICK.splitlines() if not old.startswith(f"{name} =")]
    with pytest.raises(RecipeError, match=words) as fault:
        parse_recipe("\n".join([line, *rest]), "r.toml")
    message = str(fault.value)
    assert message.startswith("r.toml: ")
    assert message.isprintable()
    assert len(message) < 500


def test_a_front_end_that_is_nested_without_end():
    values = "\n".join(line for line in QUICK.splitlines() if not line.startswith("clip_seconds"))
    text = values.replace("[front_end]", "[front_end]\n" + "a." * 1200 + "a = 1", 1)
    assert text != values
    with pytest.raises(RecipeError, match=r"^r\.toml: a table is nested too deeply; "):
        parse_recipe(text, "r.toml")


# workers


@pytest.mark.parametrize("index", ["Infinity", "NaN", "1e400", "[]", '"x"', "null", "-1", "9"])
def test_a_place_in_a_cluster_that_is_none(index):
    text = '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": ' + index + "}}"
    with pytest.raises(DistributionError, match="TF_CONFIG"):
        clustered(text)


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 5000, "-1", "1e3", "", "²"])
def test_a_port_that_is_none(port):
    with pytest.raises(DistributionError, match="not host:port"):
        Distribution.chosen("multi-worker", f"localhost:{port},b:1", 0, {})


class Peer:
    """The other end of a socket that sends these bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def recv(self, count: int) -> bytes:
        return self._data.read(count)


@pytest.mark.parametrize("text", TEXTS)
def test_a_stranger_at_the_workers_meeting_has_said_nothing(text):
    assert _heard(Peer(TEXTS[text])) in ({}, {"a": "\ud800"}, {"a": 1})


def test_no_more_is_heard_of_a_stranger_than_a_greeting_takes():
    peer = Peer(b" " * (1 << 20))
    assert _heard(peer) == {}
    assert peer._data.tell() <= 1 << 17


# devices


@pytest.mark.parametrize("text", TEXTS)
def test_a_line_of_a_flash_report_that_is_none_is_passed_over(tmp_path, text):
    path = tmp_path / "report.jsonl"
    good = b'{"device": "a", "model": "m", "done": true}'
    path.write_bytes(TEXTS[text].replace(b"\n", b"") + b"\n" + good + b"\n")
    assert Report(path, "m").done() == {"a"}


@pytest.mark.parametrize("text", TEXTS)
def test_a_slots_record_that_is_none(text):
    assert read_record(TEXTS[text], 1) is None


SLOT = Slot("a" * 64, "m", 3, "", "")


@pytest.mark.parametrize("state", [State(1), State(7, SLOT, None, "b" * 64), State(9, SLOT, SLOT)])
def test_a_record_is_what_was_written_and_any_change_of_a_byte_is_none(state):
    data = write_record(state)
    assert read_record(data, state.number) == state
    assert read_record(data, state.number + 1) is None
    for place in range(len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 0x01
        assert read_record(bytes(changed), state.number) is None, place
        assert read_record(data[:place], state.number) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("slots-00000001.json", 1),
        ("slots-99999999.json", 99_999_999),
        ("slots-00000000.json", 0),
        ("slots-1.json", 0),
        ("slots-000000001.json", 0),
        ("slots-0000000a.json", 0),
        ("slots-+0000001.json", 0),
        ("slots-٠٠٠٠٠٠٠١.json", 0),  # digits, but not ASCII's
        ("Slots-00000001.json", 0),
        ("slots-00000001.json.part", 0),
        ("00000001.json", 0),
        ("", 0),
    ],
)
def test_the_number_of_a_record_stands_in_its_name(name, number):
    assert number_of(name) == number


# networks


def keras(folder: Path, config: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", config)
    return path


@pytest.mark.parametrize(
    "text",
    ["half of a table", "lists without end", "a table of such a number", "wrong bytes", "nothing"],
)
def test_a_network_whose_description_is_none(tmp_path, text):
    with pytest.raises(BadNetwork, match=r"m\.keras: not a file that Keras 3 saved"):
        layer_classes(keras(tmp_path, TEXTS[text]))


def test_a_network_that_is_nested_as_deeply_as_json_can_be_read(tmp_path):
    config: dict[str, Any] = {"class_name": "Dense", "config": {"name": "x"}}
    for _ in range(200):
        config = {"class_name": "Wrapper", "config": {"name": "x", "layer": [config]}}
    classes = layer_classes(keras(tmp_path, json.dumps(config).encode()))
    assert classes == ("Wrapper",) * 200 + ("Dense",)


@pytest.mark.parametrize("what", ["content", "encrypted", "method", "cut"])
def test_a_network_whose_zip_is_damaged(tmp_path, what):
    stored = zipfile.ZIP_STORED if what == "cut" else zipfile.ZIP_DEFLATED
    path = keras(tmp_path, json.dumps({"a": list(range(500))}).encode(), stored)
    data = bytearray(path.read_bytes())
    if what == "cut":
        # A member that ends behind the end of the file.
        struct.pack_into("<II", data, data.index(b"PK\x01\x02") + 20, 1 << 20, 1 << 20)
    path.write_bytes(data if what == "cut" else damage(data, what))
    with pytest.raises(BadNetwork, match=r"m\.keras: not a file that Keras 3 saved"):
        layer_classes(path)


# descriptions by hand


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 is empty"),
        ("a", "holds one label"),
        ("a\n\nb", "line 2 is empty"),
        ("a\n b \na", "a stands twice"),
        ("a\nb\x1b[31m", "line 2 holds control characters"),
        ("a\nb\u202ec", "line 2 holds control characters"),
        ("a\nb\u2028c", "line 2 holds control characters"),
        ("a\n" + "b" * (1 << 20), "is over 1 MiB"),
    ],
)
def test_labels_that_are_none(tmp_path, text, words):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(SerEdgeError, match=words) as fault:
        read_labels(path)
    assert str(fault.value).startswith(str(path))
    assert str(fault.value).isprintable()


@pytest.mark.parametrize("text", ["a\nb\n", "\ufeffa\r\nb\r\n", "a \n\tb\n\n \n"])
def test_labels_are_lines_however_they_end(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_labels(path) == ("a", "b")
