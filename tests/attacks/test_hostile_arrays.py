"""Arrays in files that somebody damaged or made on purpose: one line each, and no memory taken.

An ``.npz`` is a zip of ``.npy`` files, and each of those says in a line of Python how large it
is. Both can lie.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.checkpoint import Checkpoint, CheckpointError
from ser_edge_train.embeddings import Embeddings, EmbeddingsError, standardised
from tests.damaged_zip import damage

VALUES = np.arange(400, dtype=np.float32).reshape(100, 4)
NAMES = np.array([f"own/{n}.wav" for n in range(100)])


def npy(header: str, data: bytes = b"") -> bytes:
    """An ``.npy`` file whose header says this, true or not."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def of(shape: object, kind: str = "<f4", order: bool = False) -> str:
    return repr({"descr": kind, "fortran_order": order, "shape": shape})


def stored(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def npz(path: Path, members: dict[str, bytes], packed: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def head(**changes: object) -> dict[str, object]:
    return {
        "format": 1, "epoch": 2, "finished": False, "recipe_digest": "d", "best_epoch": 1,
        "history": [], "callbacks": {}, **changes,
    }  # fmt: skip


def as_array(values: object) -> np.ndarray:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def refused_embeddings(path: Path) -> str:
    with pytest.raises(EmbeddingsError) as fault:
        Embeddings.read(path)
    message = str(fault.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 500 + len(str(path))
    return message


def refused_checkpoint(path: Path) -> None:
    with pytest.raises(CheckpointError, match=r": damaged \(\w+\); start anew") as fault:
        Checkpoint.read(path)
    assert str(fault.value).startswith(str(path))


LIES = {
    "more rows than there are": npy(of((100, 4)), b"\0" * 160),
    "a terabyte": npy(of((1 << 38, 1)), b"\0" * 16),
    "more than any address": npy(of((1 << 62, 1 << 62)), b"\0" * 16),
    "a negative length": npy(of((-1, 4)), b"\0" * 160),
    "a length of 5000 digits": npy(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1" + "0" * 5000 + ",)}"
    ),
    "no shape": npy(repr({"descr": "<f4", "fortran_order": False})),
    "a shape of words": npy(of(("a", "b"))),
    "an unknown type": npy(of((2, 2), "<x9")),
    "objects": npy(of((2, 2), "|O"), b"cos\nsystem\n"),
    "a call": npy("__import__('os').abort()"),
    "lists without end": npy("[" * 5000),
    "no header": b"\x93NUMPY\x01\x00\xff\xff",
    "a later version": b"\x93NUMPY\x09\x00" + b"\0" * 100,
    "nothing": b"",
    "no array": b"hello",
}


@pytest.mark.parametrize("lie", LIES)
def test_an_array_that_lies_about_itself(tmp_path, lie):
    refused_embeddings(
        npz(tmp_path / "e.npz", {"path": stored(NAMES), "embedding": LIES[lie]}),
    )
    refused_checkpoint(
        npz(tmp_path / "c.npz", {"head": stored(as_array(head())), "model_0000": LIES[lie]})
    )


def damaged(path: Path, what: str) -> None:
    data = path.read_bytes()
    if what == "cut":
        path.write_bytes(data[: data.index(b"PK\x01\x02")])
    else:
        path.write_bytes(damage(data, what, slice(60, 90)))


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("what", ["content", "encrypted", "method", "no directory"])
def test_a_zip_that_is_damaged(tmp_path, what, packed):
    members = {"embedding": stored(VALUES), "path": stored(NAMES)}
    path = npz(tmp_path / "e.npz", members, packed)
    assert len(Embeddings.read(path).values) == 100
    damaged(path, what)
    refused_embeddings(path)
    members = {"head": stored(as_array(head())), "model_0000": stored(VALUES)}
    path = npz(tmp_path / "c.npz", members, packed)
    assert Checkpoint.read(path).epoch == 2
    damaged(path, what)
    refused_checkpoint(path)


@pytest.mark.parametrize(
    "values",
    [
        3, None, [], [["format", 1]], {}, "text", head(format=None), head(history=3),
        head(more=1), {**head(), "model": []},
    ],
)  # fmt: skip
def test_a_checkpoints_head_that_is_none(tmp_path, values):
    path = npz(tmp_path / "c.npz", {"head": stored(as_array(values))})
    with pytest.raises(CheckpointError, match=r"damaged|of another format"):
        Checkpoint.read(path)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{", b"\xff", b"", b"1" * 5000])
def test_a_checkpoints_head_that_is_no_json(tmp_path, text):
    array = np.frombuffer(text, np.uint8)
    refused_checkpoint(npz(tmp_path / "c.npz", {"head": stored(array)}))


def test_a_checkpoint_without_a_head(tmp_path):
    refused_checkpoint(npz(tmp_path / "c.npz", {"model_0000": stored(VALUES)}))


@settings(max_examples=40)
@given(st.data())
def test_any_byte_of_a_checkpoint_changed_is_seen_or_changes_nothing(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("c") / "c.npz"
    Checkpoint(3, True, "d", 2, ({"loss": 0.5},), {}, (VALUES[:3],), (VALUES[3],), ()).write(path)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    try:
        found = Checkpoint.read(path)
    except CheckpointError:
        return
    # Dates, flags and names in a zip are under no check sum.
    assert (found.epoch, found.finished, found.history) == (3, True, ({"loss": 0.5},))
    for values in found.model:
        np.testing.assert_array_equal(values, VALUES[:3])


# what fits no zip's check sum but makes no embeddings


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"path": np.array("a"), "embedding": VALUES}, r"path has shape \(\); it needs a name"),
        ({"path": NAMES.reshape(10, 10), "embedding": VALUES[:10]}, r"path has shape \(10, 10\)"),
        ({"path": NAMES, "embedding": np.array(3.0)}, r"shape \(\) for 100"),
        ({"path": NAMES, "embedding": VALUES[:, :0]}, r"shape \(100, 0\) for 100"),
        ({"path": NAMES, "embedding": VALUES[None]}, r"shape \(1, 100, 4\)"),
        ({"path": NAMES, "embedding": VALUES.astype(np.complex64)}, "no finite numbers"),
        ({"path": NAMES, "embedding": VALUES > 3}, "no finite numbers"),
        ({"path": NAMES, "embedding": VALUES.astype(np.float64) * 1e300}, "no finite numbers"),
        ({"path": NAMES, "embedding": np.where(VALUES > 3, np.nan, VALUES)}, "no finite numbers"),
    ],
)
def test_arrays_that_make_no_embeddings(tmp_path, arrays, words):
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(EmbeddingsError, match=words):
        Embeddings.read(tmp_path / "e.npz")


@pytest.mark.parametrize("kind", ["f2", "f8", ">f4", "i1", "u2", "i8"])
def test_numbers_of_any_kind_become_float32(tmp_path, kind):
    np.savez(tmp_path / "e.npz", path=NAMES, embedding=VALUES.astype(kind))
    found = Embeddings.read(tmp_path / "e.npz").values
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES.astype(kind).astype(np.float32))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-50, 50)), min_size=1, max_size=12),
    st.integers(-9, 9),
)
def test_values_are_standardised_within_their_group(rows, shift):
    """By hand, group by group; a group of equal rows becomes zeros."""
    groups = [group for group, _ in rows]
    column = np.array([[value / 8 + 1000.0 * shift, 1.0] for _, value in rows])
    found = standardised(column, groups)
    assert not found[:, 1].any()
    for name in set(groups):
        own = [value / 8 for group, value in rows if group == name]
        mean = sum(own) / len(own)
        deviation = (sum((value - mean) ** 2 for value in own) / len(own)) ** 0.5
        expected = [(value - mean) / deviation if deviation else 0.0 for value in own]
        mine = [value for value, group in zip(found[:, 0], groups, strict=True) if group == name]
        np.testing.assert_allclose(mine, expected, atol=1e-6)
