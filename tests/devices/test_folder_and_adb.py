"""Devices that only their files are seen of: a card, a phone, this machine's own folder."""

from __future__ import annotations

import pytest

from ser_edge.devices.adb import AdbFiles
from ser_edge.devices.device import DeviceFault
from ser_edge.devices.folder import folder_device
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import SelfTestFailed
from ser_edge_runtime.model_file import read_model_bytes
from ser_edge_runtime.slots import Slots


@pytest.fixture(params=["card", "phone"])
def target(request, tmp_path) -> str:
    folder = tmp_path / "with a blank" / "slots"
    folder.parent.mkdir()
    return str(folder) if request.param == "card" else f"adb://serial{folder}"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "with a blank" / "slots"


def test_flash_marks_untested_and_the_first_load_tests(call, target, folder, files, options):
    code, (row,), err = call("flash", files["1"], target, *options)
    assert (code, err) == (0, [])
    assert row["done"] is True
    assert row["current"]["tested"] == ""
    (status,) = call("status", target, *options)[1]
    assert status["answers"] == status["current"]["sha256"] == sha256_hex(files["1"].read_bytes())
    assert (status["runtime"], status["incoming"], status["signed"]) == (None, [], False)
    assert read_model_bytes(folder) == files["1"].read_bytes()
    assert Slots.at(folder).state().current.tested != ""


def test_flash_over_rollback_and_refusal(call, target, folder, files, options):
    for name in ("1", "2"):
        assert call("flash", files[name], target, *options)[0] == 0
    assert call("flash", files["2"], target, *options)[1][0]["number"] == 2
    code, (row,), (line,) = call("flash", files["1"], target, *options)
    assert code == 1
    assert row["done"] is False
    assert line == f"ser-edge: {row['error']}"
    assert f"{files['1']}: it is release 1, the device has release 2" in line
    assert read_model_bytes(folder) == files["2"].read_bytes()
    code, (row,), _ = call("rollback", target, *options)
    assert (code, row["current"]["release"], row["previous"]["release"]) == (0, 1, 2)
    assert read_model_bytes(folder) == files["1"].read_bytes()


def test_a_dry_run_writes_nothing(call, target, folder, files, options):
    code, (row,), _ = call("flash", files["1"], target, "--dry-run", *options)
    assert (code, row["done"], row["current"]["release"]) == (0, False, 1)
    assert not folder.exists()


def test_a_card_that_is_not_mounted_is_said(call, tmp_path, files, options):
    code, _, (line,) = call("flash", files["1"], tmp_path / "no" / "card", *options)
    assert code == 1
    assert "mount the card" in line
    code, _, (line,) = call("flash", files["1"], files["2"], *options)
    assert (code, "is a file" in line) == (1, True)


def test_a_folder_of_this_machine_is_tested_at_once(tmp_path, files, call, options):
    code, (row,), _ = call("flash", files["1"], tmp_path / "own", "--here", *options)
    assert (code, bool(row["current"]["tested"])) == (0, True)
    code, _, (line,) = call("flash", files["broken"], tmp_path / "own", "--here", *options)
    assert (code, "golden vectors do not hold" in line) == (1, True)
    (status,) = call("status", tmp_path / "own", "--here", *options)[1]
    assert status["answers"] == row["current"]["sha256"]
    assert status["runtime"]
    with pytest.raises(SelfTestFailed):
        Slots.at(tmp_path / "own").install(
            files["broken"].read_bytes(), None, folder_device(str(tmp_path), here=True)._self_test
        )


# adb


@pytest.fixture
def phone(tmp_path, programs) -> AdbFiles:
    return AdbFiles(f"adb://serial{tmp_path}/a b", programs["adb"])


def test_a_phones_files(phone, tmp_path):
    assert phone.names() == []
    assert phone.read("x") is None
    for data in (b"", b"0", b"\r\n\0\xff"):
        phone.write("sub/x", data)
        assert phone.read("sub/x") == data
    phone.rename("sub/x", "other/y")
    assert (phone.names("sub"), phone.names("other")) == ([], ["y"])
    assert (tmp_path / "a b" / "other" / "y").read_bytes() == b"\r\n\0\xff"
    phone.remove("other/y")
    phone.remove("other/y")
    assert phone.names("other") == []


def test_the_serial_is_named_in_every_call(phone, tmp_path):
    with phone.alone():
        phone.names()
    lines = (tmp_path / "adb.log").read_text().splitlines()
    assert lines
    assert all(line.startswith("-s serial ") for line in lines)


@pytest.mark.parametrize("target", ["adb://", "adb:///path", "adb://serial", "adb://-x/path"])
def test_a_target_that_is_none(target):
    with pytest.raises(DeviceFault, match="adb://serial/path"):
        AdbFiles(target)


def test_a_phone_that_is_gone_is_not_an_empty_one(tmp_path):
    gone = tmp_path / "gone.sh"
    gone.write_text("echo 'error: device not found' >&2; exit 1")
    silent = tmp_path / "silent.sh"
    silent.write_text("exit 0")
    for script, words in ((gone, "device not found"), (silent, "connection ended")):
        phone = AdbFiles("adb://serial/path", f"sh {script}")
        with pytest.raises(DeviceFault, match=words):
            phone.names()
        with pytest.raises(DeviceFault, match=r"adb devices"):
            phone.read("x")
        with pytest.raises(DeviceFault):
            phone.write("x", b"data")
    with pytest.raises(DeviceFault, match="apt install adb"):
        AdbFiles("adb://serial/path", "no-such-adb").names()
