"""Inventories that are none: the file is named, what is wrong in it, and where its rules stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge.devices.device import DeviceFault
from ser_edge.devices.inventory import Entry, entries_of

UNREADABLE = "see docs/flashing.md for an inventory"
GOOD = """\
# the kitchen's
[[device]]
target = "ssh://pi@kitchen/var/lib/ser-edge"

[[device]]
name = "phone"
target = "adb://1234/data/local/tmp/ser-edge"
command = "/opt/ser-edge/bin/ser-edge"

[[device]]
name = "card"
target = "card"
"""
NO_TEXT = ["1", "1.5", "true", "[]", "['a']", "{}", "{ x = 'a' }", "2024-01-02", "12:30:00", "''"]
NO_DEVICES = "must hold [[device]] tables and nothing else"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("inventories") / "devices.toml"


def refused(path) -> tuple[str, str]:
    """The fault and the next step, behind the file's name."""
    with pytest.raises(DeviceFault) as caught:
        entries_of(str(path))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    assert (caught.value.path, caught.value.exit_code) == (str(path), 1)
    fault, _, hint = text.removeprefix(f"{path}: ").rpartition("; ")
    return fault, hint


def three(path):
    return [
        Entry("ssh://pi@kitchen/var/lib/ser-edge", "ssh://pi@kitchen/var/lib/ser-edge"),
        Entry("phone", "adb://1234/data/local/tmp/ser-edge", "/opt/ser-edge/bin/ser-edge"),
        Entry("card", str(path.parent / "card")),
    ]


# No TOML


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"[[device", "Expected ']]' at the end of an array declaration (at end of document)"),
        (b"[[device]]\ntarget = kitchen\n", "Invalid value (at line 2, column 10)"),
        (b"[[device]]\ntarget = 'a'\ntarget = 'b'\n", "Cannot overwrite a value"),
        (b"[[device]]\ntarget = '\xff'\n", "is no text in UTF-8"),
        (b"\x00", "is no TOML: Invalid statement (at line 1, column 1)"),
    ],
)
def test_what_is_no_toml_says_where_and_names_the_page(path, data, fault):
    path.write_bytes(data)
    said, hint = refused(path)
    assert fault in said
    assert hint == UNREADABLE


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    assert refused(tmp_path / "none.toml") == ("No such file or directory", UNREADABLE)
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    assert refused(loop) == ("Too many levels of symbolic links", UNREADABLE)


def test_brackets_without_end_are_a_fault_of_the_file_too(path):
    path.write_text("x = " + "[" * 50_000)
    assert refused(path) == ("its values are nested too deeply", UNREADABLE)


def test_a_number_that_python_does_not_read_is_a_fault_of_the_file_too(path):
    path.write_text(f"x = {'9' * 5000}\n")
    assert refused(path) == ("holds a number of too many digits", UNREADABLE)


def test_a_name_that_is_too_long_for_a_file_is_refused(tmp_path):
    assert refused(tmp_path / f"{'n' * 300}.toml") == ("File name too long", UNREADABLE)


def test_a_byte_order_mark_is_no_part_of_an_inventory(path):
    path.write_text(GOOD, encoding="utf-8-sig")
    assert entries_of(str(path)) == three(path)


@given(data=st.binary(max_size=120) | st.text(max_size=120).map(str.encode))
def test_any_bytes_are_devices_or_one_line(path, data):
    path.write_bytes(data)
    # What drawn bytes hold is no device: that takes a table, a key and a text in quotes.
    assert refused(path)


@given(length=st.integers(0, len(GOOD)))
def test_an_inventory_cut_short_is_refused_or_holds_its_first_devices(path, length):
    path.write_text(GOOD[:length])
    whole = three(path)
    try:
        found = entries_of(str(path))
    except DeviceFault:
        assert refused(path)
        return
    # A cut within a device leaves it without what stood behind the cut.
    assert [entry.target for entry in found] == [entry.target for entry in whole[: len(found)]]
    assert found[:-1] == whole[: len(found) - 1]


@given(place=st.integers(0, len(GOOD) - 1), character=st.characters(codec="utf-8"))
def test_a_changed_character_gives_devices_or_one_line(path, place, character):
    text = GOOD[:place] + character + GOOD[place + 1 :]
    path.write_bytes(text.encode())
    try:
        found = entries_of(str(path))
    except DeviceFault:
        assert refused(path)
        return
    assert 1 <= len(found) <= 3
    assert all(entry.name and entry.target for entry in found)


# No tables of devices


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# [[device]]\n",
        "device = []\n",
        "device = 'kitchen'\n",
        "[device]\ntarget = 'kitchen'\n",
        "[[devices]]\ntarget = 'kitchen'\n",
        "title = 'ours'\n[[device]]\ntarget = 'kitchen'\n",
        "[[device]]\ntarget = 'kitchen'\n[defaults]\ncommand = 'x'\n",
    ],
)
def test_other_tables_than_devices_are_refused(path, text):
    path.write_text(text)
    assert refused(path) == (NO_DEVICES, "see docs/flashing.md")


def test_one_device_with_nothing_but_a_target_is_an_inventory(path):
    path.write_text("[[device]]\ntarget = 'kitchen'\n")
    assert entries_of(str(path)) == [Entry("kitchen", str(path.parent / "kitchen"))]


# No device


@pytest.mark.parametrize("value", NO_TEXT)
@pytest.mark.parametrize("key", ["name", "target", "command"])
def test_a_value_that_is_no_text_is_refused(path, key, value):
    values = {"name": "'n'", "target": "'t'", "command": "'c'"}
    for number, wrong in ((1, values | {key: value}), (2, values)):
        lines = [f"{name} = {given}" for name, given in wrong.items()]
        path.write_text("\n".join(["[[device]]", *lines, ""]))
        if number == 1:
            said = f"device 1 needs text of one line as its {key}"
            assert refused(path) == (said, "see docs/flashing.md")
        else:
            assert entries_of(str(path)) == [Entry("n", str(path.parent / "t"), "c")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "has no target"),
        ("name = 'n'", "has no target"),
        ("host = 'b'\ntarget = 'x'", "has 'host', which is none of command, name, target"),
        (
            '"h\\u000a" = 1\ntarget = "x"',
            "has 'h\\n', which is none of command, name, target",
        ),
        ('target = "x\\ny"', "needs text of one line as its target"),
        ('target = "x"\nname = "a\\u001b[2J"', "needs text of one line as its name"),
    ],
)
@given(before=st.integers(0, 20))
def test_the_number_of_the_wrong_device_is_said(path, wrong, said, before):
    good = [f"[[device]]\ntarget = 'd{number}'\n" for number in range(before)]
    path.write_text("".join([*good, f"[[device]]\n{wrong}\n", "[[device]]\nalso = 'wrong'\n"]))
    assert refused(path) == (f"device {before + 1} {said}", "see docs/flashing.md")


def test_a_row_that_is_no_table_is_refused(path):
    path.write_text("device = [{ target = 'a' }, 'b']\n")
    assert refused(path) == ("device 2 is no table", "see docs/flashing.md")
    path.write_text("device = [{ target = 'a' }, { target = 'b' }]\n")
    assert [entry.name for entry in entries_of(str(path))] == ["a", "b"]


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ("target = 'a'", "two devices have the name a"),
        ("name = 'a'\ntarget = 'b'", "two devices have the name a"),
        ("name = 'b'\ntarget = 'a'", "two devices have the target {folder}/a"),
        ("name = 'b'\ntarget = './a'", "two devices have the target {folder}/a"),
    ],
)
def test_two_that_cannot_be_told_apart_are_refused(path, second, fault):
    path.write_text(f"[[device]]\ntarget = 'a'\n[[device]]\n{second}\n")
    assert refused(path) == (fault.format(folder=path.parent), "tell them apart")


def test_two_of_other_names_and_targets_are_told_apart(path):
    path.write_text("[[device]]\ntarget = 'a'\n[[device]]\nname = 'A'\ntarget = 'b'\n")
    assert [entry.name for entry in entries_of(str(path))] == ["a", "A"]


# The commands


@pytest.mark.parametrize("command", ["flash", "rollback", "status"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[device", UNREADABLE),
        ("", NO_DEVICES + "; see docs/flashing.md"),
        ("[[device]]\ntarget = 'a'\n[[device]]\n",
         "device 2 has no target; see docs/flashing.md"),
    ],
)  # fmt: skip
def test_no_device_is_touched_and_no_report_begun(call, tmp_path, files, command, text, said):
    path = tmp_path / "devices.toml"
    path.write_text(text)
    (tmp_path / "a").mkdir()
    before = sorted(tmp_path.rglob("*"))
    model = [files["1"]] if command == "flash" else []
    code, rows, lines = call(command, *model, path)
    assert (code, rows, len(lines)) == (1, [], 1)
    assert lines[0].startswith(f"ser-edge: {path}: ")
    assert lines[0].endswith(said)
    assert sorted(tmp_path.rglob("*")) == before
