"""What a cut, a full disk, a failing card and readers meanwhile leave in slots."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path

import pytest

from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import FileError, SlotsFault
from ser_edge_runtime.model_file import read_model_bytes
from ser_edge_runtime.slot_files import LocalFiles
from ser_edge_runtime.slot_records import Settings
from ser_edge_runtime.slots import Slots
from tests.runtime.slots.models import broken_model
from tests.runtime.slots.test_slots import FIRST, SECOND, TEST, THIRD, folder, held, slots

__all__ = ["folder", "slots"]


class Cut(BaseException):
    """The power goes."""


class CutFiles(LocalFiles):
    """Files of a machine whose power goes at one of the changes: half of that one is done."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder)
        self.left = after

    def _count(self) -> bool:
        self.left -= 1
        return self.left < 0

    def write(self, name, data):
        if self._count():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[: len(data) // 2])
            raise Cut
        super().write(name, data)

    def rename(self, name, other):
        if self._count():
            raise Cut
        super().rename(name, other)

    def remove(self, name):
        if self._count():
            raise Cut
        super().remove(name)


def changes_of(work, folder: Path) -> int:
    files = CutFiles(folder, 1000)
    work(Slots(files, "slots"))
    return 1000 - files.left


@pytest.mark.parametrize("kind", ["install", "rollback", "first load"])
def test_a_cut_at_any_change_leaves_the_old_model_or_the_new(tmp_path, kind):
    new, old = (THIRD, SECOND) if kind == "install" else (FIRST, SECOND)

    def prepare(place: Path) -> None:
        for data in (FIRST, SECOND):
            Slots.at(place).install(data, None, TEST)
        if kind == "first load":
            Slots.at(place).install(broken_model(4), None, None)

    def work(slots: Slots) -> None:
        if kind == "install":
            slots.install(THIRD, None, held)
        elif kind == "rollback":
            slots.rollback(held)
        else:
            slots.current(TEST)

    prepare(tmp_path / "whole")
    changes = changes_of(work, tmp_path / "whole")
    assert changes >= 3
    seen = set()
    for after in range(changes):
        place = tmp_path / str(after)
        prepare(place)
        with pytest.raises(Cut):
            work(Slots(CutFiles(place, after), "slots"))
        found = read_model_bytes(place)
        assert found in (old, new)
        seen.add(found)
        if kind == "install":
            work(Slots.at(place))
            assert Slots.at(place).answers().sha256 == sha256_hex(new)
            assert Slots.at(place).leftovers() == []
    assert seen == ({old} if kind == "first load" else {old, new})


def test_a_full_disk_leaves_the_old_model_and_nothing_else(slots, folder, monkeypatch):
    slots.install(FIRST, None, TEST)
    before = sorted(folder.rglob("*"))
    write = LocalFiles.write

    def full(self, name, data):
        write(self, name, data[:10])
        self.remove(name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFiles, "write", full)
    with pytest.raises(OSError, match="No space left"):
        slots.install(SECOND, None, TEST)
    assert read_model_bytes(folder) == FIRST
    assert set(folder.rglob("*")) - set(before) <= {folder / "incoming"}


def test_what_reads_back_otherwise_is_not_used(slots, folder, monkeypatch):
    slots.install(FIRST, None, TEST)
    read = LocalFiles.read

    def failing(self, name):
        data = read(self, name)
        return data[:-1] + b"\0" if name.startswith("incoming/") else data

    monkeypatch.setattr(LocalFiles, "read", failing)
    with pytest.raises(SlotsFault, match="reads back as something else"):
        slots.install(SECOND, None, TEST)
    assert read_model_bytes(folder) == FIRST
    assert slots.leftovers() == []


def test_a_first_load_that_cannot_be_written_down_is_a_load_all_the_same(slots, monkeypatch):
    state = slots.install(FIRST, None, None)
    faults = [
        OSError(30, "Read-only file system"),
        SlotsFault("slots", "somebody else changes them"),
        FileError("adb://phone/slots", "the connection ended", "see: adb devices"),
    ]

    @contextmanager
    def held_by_another(self):
        raise faults[0]
        yield

    monkeypatch.setattr(LocalFiles, "alone", held_by_another)
    while faults:
        assert slots.current(TEST) == FIRST
        del faults[0]
    assert slots.state() == state


def test_a_card_that_writes_something_else_is_read_all_the_same(slots, monkeypatch):
    """What the first load found reads back otherwise: unsaid, it makes no other model current."""
    slots.install(FIRST, None, TEST)
    state = slots.install(SECOND, None, None)
    write = LocalFiles.write

    def failing(self, name, data):
        write(self, name, data[:-1])

    monkeypatch.setattr(LocalFiles, "write", failing)
    for _ in range(2):
        assert slots.current(TEST) == SECOND
    assert slots.state() == state
    assert slots.leftovers() == []


@pytest.mark.parametrize("lost", ["model", "record"])
def test_what_the_card_no_longer_gives_is_as_good_as_damaged(slots, folder, monkeypatch, lost):
    slots.install(FIRST, None, TEST)
    slots.install(SECOND, None, TEST)
    name = {"model": f"models/{sha256_hex(SECOND)}.tflite", "record": "slots-00000002.json"}[lost]
    read = LocalFiles.read

    def lossy(self, wanted):
        if wanted == name:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, wanted)

    monkeypatch.setattr(LocalFiles, "read", lossy)
    assert read_model_bytes(folder) == FIRST
    assert slots.answers().sha256 == sha256_hex(FIRST)


@pytest.mark.parametrize("name", ["device.json", "allowed_signers"])
def test_settings_that_the_card_no_longer_gives_are_not_taken_for_none(slots, monkeypatch, name):
    """A device with keys must not take any model because its settings cannot be read."""
    slots.set_up(Settings(("cpu",), b"a key\n"))
    read = LocalFiles.read

    def lossy(self, wanted):
        if wanted == name:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, wanted)

    monkeypatch.setattr(LocalFiles, "read", lossy)
    with pytest.raises(OSError, match="Input/output error"):
        slots.install(FIRST, None, held)


def test_leftovers_are_told_and_the_next_install_removes_them(slots, folder):
    (folder / "incoming").mkdir(parents=True)
    (folder / "incoming" / "half.tflite").write_bytes(b"half")
    assert slots.leftovers() == ["half.tflite"]
    slots.install(FIRST, None, held)
    assert slots.leftovers() == []


def test_a_reader_meanwhile_sees_a_whole_model(slots, folder, monkeypatch):
    slots.install(FIRST, None, TEST)
    other = Slots.at(folder)
    read = LocalFiles.read
    pending = [SECOND, THIRD]

    def slow(self, name):
        # Between the look at the record and the read of the model two others are flashed.
        if name.startswith("models/") and self is other._files and pending:
            todo, pending[:] = list(pending), []
            for data in todo:
                slots.install(data, None, TEST)
        return read(self, name)

    monkeypatch.setattr(LocalFiles, "read", slow)
    assert other.current(TEST) == THIRD


def test_only_one_changes_slots_at_a_time(slots, folder, monkeypatch):
    inside = []
    alone = LocalFiles.alone

    @contextmanager
    def watched(self):
        with alone(self):
            inside.append((folder / "lock").exists())
            yield

    monkeypatch.setattr(LocalFiles, "alone", watched)
    slots.install(FIRST, None, held)
    slots.install(SECOND, None, held)
    slots.rollback(held)
    assert inside == [True, True, True]
