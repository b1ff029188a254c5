"""Current, previous, incoming: install, rollback, first load, and what a cut leaves."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import (
    ModelRefused,
    NoInterpreter,
    SelfTestFailed,
    SerEdgeError,
    SlotsFault,
    UnreadableModel,
)
from ser_edge_runtime.model_file import parse_model_file, read_model_bytes
from ser_edge_runtime.service.served_model import ServedModel
from ser_edge_runtime.slot_files import LocalFiles
from ser_edge_runtime.slot_records import Settings, State, number_of, read_record, write_record
from ser_edge_runtime.slots import Slots, has_slots, newest_record, self_test_with
from tests.runtime.slots.models import broken_model, model

FIRST, SECOND, THIRD = (model(number) for number in (1, 2, 3))
TEST = self_test_with()


def held(_):
    """A self-test that always holds, as of another machine."""
    return "an interpreter, ser-edge 0.1.0, another machine"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "slots"


@pytest.fixture
def slots(folder) -> Slots:
    return Slots.at(folder)


def digests(state: State) -> tuple[str | None, str | None]:
    return tuple(None if slot is None else slot.sha256 for slot in (state.current, state.previous))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_model_is_installed_tested_and_used(slots, folder):
    state = slots.install(FIRST, None, TEST)
    assert digests(state) == (sha256_hex(FIRST), None)
    assert state.current.tested.startswith(("ai-edge-litert", "tflite-runtime"))
    assert (state.current.release, state.current.signer) == (1, "")
    assert slots.state() == state
    assert read_model_bytes(folder) == FIRST
    assert Classifier.load(folder).labels == parse_model_file(FIRST, "").metadata.labels


def test_the_model_before_is_kept_and_the_one_before_that_is_not(slots, folder):
    for data in (FIRST, SECOND, THIRD):
        state = slots.install(data, None, held)
    assert digests(state) == (sha256_hex(THIRD), sha256_hex(SECOND))
    names = {path.name for path in (folder / "models").iterdir()}
    assert names == {f"{sha256_hex(data)}.tflite" for data in (SECOND, THIRD)}
    records = [path.name for path in folder.glob("slots-*.json")]
    assert sorted(records) == ["slots-00000002.json", "slots-00000003.json"]


def test_no_name_in_the_folder_is_one_that_fat_refuses(slots, folder):
    slots.set_up(Settings())
    slots.install(FIRST, None, held)
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        assert not set(path.name) & set('<>:"|?*\\')
        assert path.name == path.name.lower()


def test_the_model_that_is_there_already_changes_nothing(slots):
    before = slots.install(FIRST, None, held)
    assert slots.install(FIRST, None, held) == before


def test_rollback_goes_back_and_forth(slots):
    slots.install(FIRST, None, TEST)
    slots.install(SECOND, None, TEST)
    assert digests(slots.rollback(TEST)) == (sha256_hex(FIRST), sha256_hex(SECOND))
    assert digests(slots.rollback(TEST)) == (sha256_hex(SECOND), sha256_hex(FIRST))


def test_there_may_be_nothing_to_go_back_to(slots):
    with pytest.raises(SlotsFault, match="no previous model"):
        slots.rollback(TEST)
    slots.install(FIRST, None, TEST)
    with pytest.raises(SlotsFault, match="no previous model"):
        slots.rollback(TEST)


def test_a_damaged_previous_model_is_not_gone_back_to(slots, folder):
    slots.install(FIRST, None, held)
    after = slots.install(SECOND, None, held)
    flip(folder / "models" / f"{sha256_hex(FIRST)}.tflite")
    with pytest.raises(SlotsFault, match="previous model is damaged"):
        slots.rollback(TEST)
    assert slots.state() == after


def test_a_failed_self_test_leaves_the_old_model(slots, folder):
    slots.install(FIRST, None, TEST)
    with pytest.raises(SelfTestFailed):
        slots.install(broken_model(2), None, TEST)
    assert read_model_bytes(folder) == FIRST
    assert digests(slots.state()) == (sha256_hex(FIRST), None)


def test_an_older_model_needs_to_be_allowed(slots):
    slots.install(SECOND, None, held)
    with pytest.raises(ModelRefused, match=r"release 1, the device has release 2.*--allow-down"):
        slots.install(FIRST, None, held)
    with pytest.raises(ModelRefused, match="it has no release number, the device has release"):
        slots.install(model(), None, held)
    state = slots.install(FIRST, None, held, allow_downgrade=True)
    assert digests(state) == (sha256_hex(FIRST), sha256_hex(SECOND))


def test_a_dry_run_checks_everything_and_writes_nothing(slots, folder):
    state = slots.install(FIRST, None, TEST, dry_run=True)
    assert state.current.sha256 == sha256_hex(FIRST)
    assert not folder.exists()
    with pytest.raises(SelfTestFailed):
        slots.install(broken_model(), None, TEST, dry_run=True)
    slots.install(FIRST, None, TEST)
    slots.install(SECOND, None, TEST)
    before = sorted(folder.rglob("*")), slots.state()
    assert slots.rollback(TEST, dry_run=True).current.sha256 == sha256_hex(FIRST)
    assert (sorted(folder.rglob("*")), slots.state()) == before


# first load


def test_an_untested_model_is_tested_at_its_first_load(slots, folder):
    assert slots.install(FIRST, None, None).current.tested == ""
    assert read_model_bytes(folder) == FIRST
    state = slots.state()
    assert state.current.tested != ""
    assert read_model_bytes(folder) == FIRST
    assert slots.state() == state


def test_an_untested_model_that_fails_gives_way_to_the_one_before(slots, folder):
    slots.install(FIRST, None, None)
    broken = broken_model(2)
    slots.install(broken, None, None)
    assert read_model_bytes(folder) == FIRST
    state = slots.state()
    assert digests(state) == (sha256_hex(FIRST), None)
    assert state.failed == sha256_hex(broken)
    assert not (folder / "models" / f"{sha256_hex(broken)}.tflite").exists()


def test_the_only_model_that_fails_is_said(slots, folder):
    slots.install(broken_model(), None, None)
    with pytest.raises(SelfTestFailed):
        read_model_bytes(folder)


def test_a_test_on_another_machine_does_not_count(slots, folder):
    slots.install(FIRST, None, held)
    read_model_bytes(folder)
    assert slots.state().current.tested != held(None)


def test_who_has_no_interpreter_may_look_without_judging(slots):
    def none(_):
        raise NoInterpreter("none here")

    state = slots.install(FIRST, None, None)
    assert slots.current(none) == FIRST
    assert slots.state() == state


def test_a_card_that_cannot_be_written_is_loaded_all_the_same(slots, monkeypatch):
    state = slots.install(FIRST, None, None)

    def read_only(self, name, data):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(LocalFiles, "write", read_only)
    assert slots.current(TEST) == FIRST
    assert slots.state() == state


def test_a_current_model_that_rots_gives_way_to_the_one_before(slots, folder):
    slots.install(FIRST, None, TEST)
    slots.install(SECOND, None, TEST)
    flip(folder / "models" / f"{sha256_hex(SECOND)}.tflite")
    assert read_model_bytes(folder) == FIRST
    assert slots.answers().sha256 == sha256_hex(FIRST)
    slots.install(SECOND, None, TEST)
    assert read_model_bytes(folder) == SECOND


def test_empty_slots_and_plain_folders_are_no_model(slots, folder):
    folder.mkdir()
    assert not has_slots(folder)
    with pytest.raises(UnreadableModel):
        read_model_bytes(folder)
    assert slots.answers() is None
    with pytest.raises(SlotsFault, match="no model is in its slots"):
        slots.current(TEST)


# a running service


def test_a_service_takes_up_a_switch_before_the_next_recording(slots, folder):
    slots.install(FIRST, None, TEST)
    served = ServedModel(folder)
    for change, expected in (
        (lambda: slots.install(SECOND, None, TEST), SECOND),
        (lambda: slots.rollback(TEST), FIRST),
    ):
        change()
        with served.classifier() as (_, loaded):
            assert loaded.sha256 == sha256_hex(expected)
    assert (served.reloads, served.failures) == (2, 0)
    assert newest_record(folder).name == "slots-00000003.json"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENXIO])
def test_a_card_that_cannot_be_read_leaves_a_service_its_model(slots, folder, monkeypatch, number):
    slots.install(FIRST, None, TEST)
    served, news = ServedModel(folder), []
    served.on_change = news.append
    slots.install(SECOND, None, TEST)

    def fails(self, name):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(LocalFiles, "read", fails)
    for _ in range(2):
        with served.classifier() as (_, loaded):
            assert loaded.sha256 == sha256_hex(FIRST)
    (fault,) = news
    assert isinstance(fault, SerEdgeError)
    assert str(fault).startswith(f"{folder}: ")
    assert (served.reloads, served.failures) == (0, 1)
    monkeypatch.undo()
    assert served.reload()
    assert served.loaded.sha256 == sha256_hex(SECOND)


# records and settings


@pytest.mark.parametrize("spoil", ["cut", "flipped", "empty", "another number"])
def test_a_record_that_is_not_whole_does_not_count(slots, folder, spoil):
    before = slots.install(FIRST, None, held)
    slots.install(SECOND, None, held)
    path = folder / "slots-00000002.json"
    data = path.read_bytes()
    if spoil == "another number":
        (folder / "slots-00000007.json").write_bytes(data)
        path.unlink()
    elif spoil == "flipped":
        flip(path)
    else:
        path.write_bytes(data[: len(data) // 2] if spoil == "cut" else b"")
    assert slots.state() == before


def test_when_no_record_is_whole_that_is_said_and_flashing_mends_it(slots, folder):
    slots.install(FIRST, None, held)
    (folder / "slots-00000001.json").write_bytes(b"{}")
    with pytest.raises(SlotsFault, match="none of its records"):
        slots.state()
    assert slots.install(SECOND, None, held).number == 2
    assert digests(slots.state()) == (sha256_hex(SECOND), None)


def test_records_are_read_as_they_are_written(slots):
    state = slots.install(FIRST, None, held)
    assert read_record(write_record(state), 1) == state
    assert read_record(write_record(state), 2) is None
    values = json.loads(write_record(state))
    assert read_record(json.dumps({**values, "failed": "x"}).encode(), 1) is None
    for text in (b"", b"[1]", b"null", b"\xff", b"[" * 100_000, b'{"checksum": "x"}'):
        assert read_record(text, 1) is None
    assert read_record(None, 1) is None


@pytest.mark.parametrize(
    "name",
    ["slots-1.json", "slots-0000000x.json", "slots-00000001.json.part", "xslots-00000001.json"],
)
def test_other_files_are_no_records(name):
    assert number_of(name) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "null",
        '{"targets": ["cpu"]}',
        '{"targets": [], "signed": false}',
        '{"targets": "cpu", "signed": false}',
        '{"targets": ["cpu"], "signed": 0}',
    ],
    ids=lambda text: text[:20],
)
def test_damaged_settings_refuse_every_model(slots, folder, text):
    folder.mkdir()
    (folder / "device.json").write_text(text)
    with pytest.raises(SlotsFault, match=r"device.json is damaged; .*slots setup"):
        slots.install(FIRST, None, held)


def test_settings_are_kept(slots):
    assert slots.settings() == Settings(("cpu",), None)
    for settings in (Settings(("cpu", "edgetpu"), b"a key\n"), Settings(("cpu",), None)):
        slots.set_up(settings)
        assert slots.settings() == settings
