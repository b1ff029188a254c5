"""Inventories: many devices at a time, each with its line, gone on with after a kill."""

from __future__ import annotations

import json
import threading

import pytest

from ser_edge.devices.device import DeviceFault
from ser_edge.devices.inventory import Entry, Report, each, entries_of, is_inventory
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.model_file import read_model_bytes

PATIENCE = 60


def inventory(folder, text: str):
    path = folder / "devices.toml"
    path.write_text(text)
    return path


def of_folders(folder, *names: str):
    return inventory(
        folder, "".join(f'[[device]]\nname = "{n}"\ntarget = "slots-{n}"\n' for n in names)
    )


def test_a_target_is_one_device():
    assert entries_of("ssh://pi@kitchen/x") == [Entry("ssh://pi@kitchen/x", "ssh://pi@kitchen/x")]
    assert entries_of("folder") == [Entry("folder", "folder")]


def test_an_inventory_is_many(tmp_path):
    path = inventory(
        tmp_path,
        '[[device]]\ntarget = "ssh://a/b"\n'
        '[[device]]\nname = "card"\ntarget = "card"\n'
        '[[device]]\nname = "c"\ntarget = "adb://c/d"\ncommand = "x y"\n',
    )
    assert entries_of(str(path)) == [
        Entry("ssh://a/b", "ssh://a/b"),
        Entry("card", str(tmp_path / "card")),
        Entry("c", "adb://c/d", "x y"),
    ]


@pytest.mark.parametrize(("text", "said"), [
    ("", "must hold .*device"), ("x = 1\n[[device]]\ntarget = 'a'", "and nothing else"),
    ("device = 3", "device"),
    ("[[device]]\nname = 'a'", "device 1 has no target"), ("[[device]]\ntarget = 3", "needs text"),
    ("[[device]]\ntarget = ''", "device 1 needs text of one line as its target"),
    ("[[device]]\ntarget = 'a'\nhost = 'b'", "device 1 has 'host', which is none of"),
    ("[[device]]\ntarget = 'a'\n[[device]]\ntarget = 'a'", "two devices have the name a"),
    ("[[device]]\ntarget = 'a'\n[[device]]\nname = 'b'\ntarget = 'a'", "two .* the target .*a"),
    ("[[device", "Expected"),
])  # fmt: skip
def test_an_inventory_that_is_none(tmp_path, text, said):
    with pytest.raises(DeviceFault, match=said) as found:
        entries_of(str(inventory(tmp_path, text)))
    assert "\n" not in str(found.value)


def test_a_folder_may_be_called_like_an_inventory(tmp_path):
    (tmp_path / "slots.toml").mkdir()
    assert not is_inventory(str(tmp_path / "slots.toml"))
    assert entries_of(str(tmp_path / "slots.toml"))[0].target == str(tmp_path / "slots.toml")
    assert is_inventory(str(tmp_path / "none.toml"))
    assert not is_inventory("ssh://pi@kitchen/x")


@pytest.mark.parametrize("command", ["flash", "rollback", "status"])
def test_only_an_inventory_is_never_asked_for_passwords(command, call, programs, files, tmp_path):
    """Even one of a single device: who runs one is not there to answer."""
    target = "ssh://pi@kitchen/x"
    path = inventory(tmp_path, f"[[device]]\ntarget = '{target}'\n")
    model = [files["1"]] if command == "flash" else []
    asked = []
    for each_target in (target, path):
        words = (*model, each_target, "--ssh", programs["ssh"], "--device-command", "false")
        assert call(command, *words)[0] == 1
        log = tmp_path / "ssh.log"
        asked.append("BatchMode=yes" not in log.read_text())
        log.unlink()
    assert asked == [True, False]


def test_a_missing_inventory(tmp_path):
    with pytest.raises(DeviceFault, match="No such file"):
        entries_of(str(tmp_path / "none.toml"))


def test_devices_are_worked_on_at_the_same_time():
    meeting = threading.Barrier(20, timeout=PATIENCE)
    entries = [Entry(str(number), str(number)) for number in range(20)]

    def work(entry):
        meeting.wait()
        return {"name": entry.name}

    found = dict(each(entries, work, 20))
    assert {entry.name: row["name"] for entry, row in found.items()} == {
        str(number): str(number) for number in range(20)
    }


def test_a_fault_of_one_is_its_own():
    def work(entry):
        if entry.name == "a":
            raise DeviceFault("a", "is gone", "find it")
        if entry.name == "b":
            raise OSError(28, "No space left on device")
        return {}

    entries = [Entry(name, name) for name in "abc"]
    found = {entry.name: outcome for entry, outcome in each(entries, work, 2)}
    assert str(found["a"]) == "a: is gone; find it"
    assert str(found["b"]).startswith("b: No space left on device; ")
    assert found["c"] == {}


# the report


def test_the_last_line_of_a_device_counts(tmp_path):
    report = Report(tmp_path / "r", "new")
    other = Report(tmp_path / "r", "old")
    a, b, c, d = (Entry(name, name) for name in "abcd")
    assert report.done() == set()
    report.add(a, {})
    report.add(b, DeviceFault("b", "is gone", "find it"))
    other.add(c, {})
    report.add(d, {})
    other.add(d, {})
    assert report.done() == {"a"}
    report.add(b, {})
    assert report.done() == {"a", "b"}
    assert other.done() == {"c", "d"}


def test_a_torn_line_neither_counts_nor_spoils_the_next(tmp_path):
    report = Report(tmp_path / "r", "new")
    report.add(Entry("a", "a"), {})
    report.add(Entry("b", "b"), {})
    data = (tmp_path / "r").read_bytes()
    (tmp_path / "r").write_bytes(data[:-10])
    assert report.done() == {"a"}
    report.add(Entry("c", "c"), {})
    assert report.done() == {"a", "c"}


# the command


def test_flash_reports_each_device_and_goes_on_where_it_ended(call, tmp_path, files, options):
    (tmp_path / "slots-b").write_text("a file where the slots should be")
    path = of_folders(tmp_path, "a", "b", "c")
    code, rows, (line,) = call("flash", files["1"], path, *options)
    assert code == 1
    assert {row["device"]: row["done"] for row in rows} == {"a": True, "b": False, "c": True}
    assert "slots-b" in line
    kept = [
        json.loads(row) for row in (tmp_path / "devices.toml.report.jsonl").read_text().splitlines()
    ]
    assert {row["device"]: row["done"] for row in kept} == {"a": True, "b": False, "c": True}
    assert {row["model"] for row in kept} == {sha256_hex(files["1"].read_bytes())}
    (tmp_path / "slots-b").unlink()
    code, rows, err = call("flash", files["1"], path, *options)
    assert (code, err) == (0, [])
    assert {row["device"]: row.get("skipped", False) for row in rows} == {
        "a": True, "b": False, "c": True,
    }  # fmt: skip
    for name in "abc":
        assert read_model_bytes(tmp_path / f"slots-{name}") == files["1"].read_bytes()


def test_another_model_is_flashed_to_all(call, tmp_path, files, options):
    path = of_folders(tmp_path, "a", "b")
    report = tmp_path / "named.jsonl"
    for name in ("1", "2"):
        code, rows, _ = call("flash", files[name], path, "--report", report, *options)
        assert (code, [row["done"] for row in rows]) == (0, [True, True])
        assert not any(row.get("skipped") for row in rows)
    assert report.read_bytes().count(b"\n") == 4
    code, rows, _ = call("rollback", path, *options)
    assert (code, {row["current"]["release"] for row in rows}) == (0, {1})
    code, rows, _ = call("status", path, *options)
    assert (code, {row["current"]["release"] for row in rows}) == (0, {1})


def test_a_dry_run_of_many_writes_no_report(call, tmp_path, files, options):
    path = of_folders(tmp_path, "a", "b")
    code, rows, _ = call("flash", files["1"], path, "--dry-run", *options)
    assert (code, len(rows)) == (0, 2)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(("slots", "dev"))) == [
        "devices.toml"
    ]
