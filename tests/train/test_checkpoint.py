"""The checkpoint's file: what it keeps, damage that is named, a write that fails."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ser_edge_train.checkpoint import Checkpoint, CheckpointError


def test_a_checkpoint_keeps_types_and_order(tmp_path):
    arrays = tuple(np.full((n,), n, dtype) for n, dtype in enumerate(["f4", "u4", "i8"] * 7))
    one = Checkpoint(3, False, "d", 2, ({"loss": 0.1},), {"c": {"best": None, "wait": 1}},
                     arrays, (np.array(5),), ())  # fmt: skip
    one.write(tmp_path / "c.npz")
    read = Checkpoint.read(tmp_path / "c.npz")
    assert [(v.dtype, v.tolist()) for v in read.model] == [(v.dtype, v.tolist()) for v in arrays]
    assert read.optimizer[0].shape == ()
    assert (read.best, read.history, read.callbacks) == ((), one.history, one.callbacks)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"c\.npz: missing"):
        Checkpoint.read(tmp_path / "c.npz")


def test_a_damaged_checkpoint_is_named_wherever_the_damage_is(tmp_path):
    path = tmp_path / "c.npz"
    arrays = (np.arange(100, dtype=np.float32),)
    Checkpoint(1, False, "d", 1, (), {}, arrays, arrays, arrays).write(path)
    good = path.read_bytes()
    assert Checkpoint.read(path).epoch == 1
    damaged = [b"", b"text", good[: len(good) // 2], good[:-1]]
    middle = good.index(b"\x00\x00\x80\x3f")  # 1.0, within the numbers
    damaged.append(good[:middle] + b"\xff" + good[middle + 1 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"c\.npz: damaged"):
            Checkpoint.read(path)


def test_a_later_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ser_edge_train.checkpoint.FORMAT", 2)
    Checkpoint(1, False, "d", 1, (), {}, (), (), ()).write(tmp_path / "c.npz")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="of another format"):
        Checkpoint.read(tmp_path / "c.npz")


def test_a_write_that_fails_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    one = Checkpoint(1, False, "d", 1, (), {}, (), (), ())
    one.write(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        dataclasses.replace(one, epoch=2).write(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.npz"]
