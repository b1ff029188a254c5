"""Wheels for another machine, and what is said when there are none."""

from __future__ import annotations

import sys
import zipfile

import pytest

from ser_edge.devices import wheels as module
from ser_edge.devices.platforms import PLATFORMS
from ser_edge.devices.wheels import BundleFault, Wheel, fetch, own_wheel, unpacked
from tests.damaged_zip import damage
from tests.devices.fake_wheels import make_wheel, shelf

ARM64, ARMHF = PLATFORMS["aarch64"], PLATFORMS["armhf"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize(
    ("tag", "glibc"),
    [
        ("py3-none-any", (0, 0)),
        ("cp311-cp311-manylinux_2_27_aarch64", (2, 27)),
        ("cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64", (2, 27)),
        ("cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64", (2, 17)),
        ("cp311-abi3-manylinux2014_x86_64", (2, 17)),
        ("cp311-cp311-manylinux1_x86_64", (2, 5)),
    ],
)
def test_the_glibc_that_a_wheel_needs_is_the_least_of_its_tags(tmp_path, tag, glibc):
    wheel = Wheel.at(make_wheel(tmp_path, "Some.Thing", "1.2", tag))
    assert (wheel.name, wheel.version, wheel.glibc) == ("some-thing", "1.2", glibc)


@pytest.mark.parametrize("name", ["a-1.0-py3-none-any.zip", "a.whl", "a-1.0-py3-none-any.whl"])
def test_what_is_no_wheel_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(BundleFault, match="is no wheel; make one"):
        Wheel.at(tmp_path / name)


def test_pip_is_asked_for_wheels_of_that_machine_alone(pip, place):
    seen = []
    found = fetch(ARM64.requirements("ai-edge-litert"), ARM64, "3.12", place,
                  progress=lambda *step: seen.append(step))  # fmt: skip
    assert [wheel.name for wheel in found] == [
        "ai-edge-litert", "cffi", "click", "numpy", "pycparser", "soundfile", "typing-extensions",
    ]  # fmt: skip
    (words,) = pip.calls
    text = " ".join(words)
    assert "--only-binary=:all:" in words
    assert "--no-deps" in words
    assert "--python-version 3.12" in text
    assert "--platform manylinux_2_17_aarch64" in text
    assert "x86_64" not in text
    assert "--no-index" not in words
    assert seen[0] == (0, 7, "click>=8.1")
    assert seen[-1] == (6, 7, "ai-edge-litert>=2.0")


def test_a_folder_of_wheels_stands_for_the_index(pip, place, tmp_path):
    versions = tmp_path / "versions.txt"
    fetch(["click"], ARM64, "3.11", place, wheels=pip.shelf, constraint=versions)
    text = " ".join(pip.calls[0])
    assert f"--isolated --no-index --find-links {pip.shelf}" in text
    assert f"--constraint {versions}" in text


def test_no_numpy_is_asked_for_where_there_is_none():
    wanted = ARMHF.requirements("tflite-runtime")
    assert not any(word.startswith(("numpy", "cffi")) for word in wanted)
    assert "tflite-runtime==2.14.0" in wanted
    assert "numpy<2" in ARM64.requirements("tflite-runtime")


NOTHING = "ERROR: No matching distribution found for {}"


@pytest.mark.parametrize(
    ("lines", "platform", "python", "words"),
    [
        ([NOTHING.format("numpy>=1.24")], ARM64, "3.13",
         "numpy: has no wheel for aarch64 and Python 3.13; name a version that has one in a "
         "file: --constraint FILE"),
        ([NOTHING.format("ai_edge_litert>=2.0")], ARMHF, "3.11",
         "ai-edge-litert: has no wheel for armhf and Python 3.11; take the other interpreter: "
         "--interpreter tflite-runtime"),
        ([NOTHING.format("tflite-runtime==2.14.0")], ARM64, "3.12",
         "tflite-runtime: has no wheel for aarch64 and Python 3.12; it was made for Python 3.11 "
         "and earlier: --python 3.11, or --interpreter ai-edge-litert"),
        ([NOTHING.format("tflite-runtime==2.14.0")], ARMHF, "3.12",
         "tflite-runtime: has no wheel for armhf and Python 3.12; it was made for Python 3.11 "
         "and earlier: --python 3.11"),
        (["WARNING: Retrying (Retry(total=1, connect=None)) after connection broken",
          NOTHING.format("numpy")], ARM64, "3.11",
         "pip: the package index cannot be reached; connect this machine, or name a folder of "
         "wheels: --wheels FOLDER"),
        (["/usr/bin/python: No module named pip"], ARM64, "3.11",
         "pip: is not installed beside this Python; install it: python -m ensurepip"),
        (["Collecting click", "ERROR: disk is full"], ARM64, "3.11",
         "pip: disk is full; try again, or name a folder of wheels: --wheels"),
        ([""], ARM64, "3.11",
         "pip: pip failed and said nothing; try again, or name a folder of wheels: --wheels"),
    ],
)  # fmt: skip
def test_what_pip_cannot_find_is_one_line_with_the_next_step(
    pip, place, lines, platform, python, words
):
    pip.fault = lines
    with pytest.raises(BundleFault) as fault:
        fetch(["numpy"], platform, python, place)
    assert str(fault.value) == words


def test_of_a_folder_the_network_is_no_excuse(pip, place):
    pip.fault = ["WARNING: Retrying", NOTHING.format("numpy")]
    with pytest.raises(BundleFault, match=r"has no wheel in .*shelf for aarch64 .*; put one there"):
        fetch(["numpy"], ARM64, "3.11", place, wheels=pip.shelf)


def test_with_the_real_pip(tmp_path, place, monkeypatch):
    wheels = shelf(tmp_path / "real")
    # A folder of somebody's settings, with a newer one: it was not asked for.
    (tmp_path / "theirs").mkdir()
    make_wheel(tmp_path / "theirs", "click", "9.0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "theirs"))
    found = fetch(["numpy>=1.24", "click"], ARM64, "3.11", place, wheels=wheels)
    assert [wheel.path.name for wheel in found] == [
        "click-2.0-py3-none-any.whl",
        "numpy-2.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
    ]


@pytest.mark.parametrize(("own", "used"), [(None, "2"), ("7", "7")])
def test_pip_gives_up_soon_unless_somebody_wants_otherwise(monkeypatch, own, used):
    monkeypatch.delenv("PIP_RETRIES", raising=False)
    if own is not None:
        monkeypatch.setenv("PIP_RETRIES", own)
    lines: list[str] = []
    code = "import os, sys; print(os.environ['PIP_RETRIES']); sys.exit('a fault')"
    assert module._run([sys.executable, "-c", code], lines.append) == 1
    assert sorted(lines) == [used, "a fault"]


def test_the_own_wheel_is_the_one_given_or_built_of_this_source(pip, place, tmp_path):
    given = make_wheel(tmp_path, "ser_edge", "7.0")
    assert own_wheel(given, place).path == place / given.name
    assert pip.calls == []
    built = own_wheel(None, place)
    assert built.version == "0.1.0"
    assert (module.Path(pip.calls[0][-1]) / "pyproject.toml").is_file()
    with pytest.raises(BundleFault, match="is a wheel of numpy; name one of ser-edge"):
        own_wheel(next(pip.shelf.glob("numpy*")), place)


def test_an_installed_ser_edge_has_no_source_to_build(pip, place, monkeypatch, tmp_path):
    monkeypatch.setattr(module.ser_edge, "__file__", str(tmp_path / "ser_edge" / "__init__.py"))
    with pytest.raises(BundleFault, match=r"without its source.*--wheel FILE") as caught:
        own_wheel(None, place)
    assert not str(caught.value).startswith("ser-edge")  # the command puts its name before it


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["WARNING: Retrying", "ERROR: Could not find hatchling"], "cannot be reached"),
        (["ERROR: Failed to build"], "Failed to build; name its wheel: --wheel FILE"),
    ],
)
def test_a_source_that_does_not_build_is_said(pip, place, lines, words):
    pip.fault = lines
    with pytest.raises(BundleFault, match=words):
        own_wheel(None, place)


def test_unpacked_as_an_installer_would(tmp_path):
    files = {"a/b.py": "1", "a-1.0.data/purelib/c.py": "2", "a-1.0.data/platlib/d/e.so": "3",
             "a-1.0.data/scripts/a": "#!python"}  # fmt: skip
    found = unpacked(Wheel.at(make_wheel(tmp_path, "a", files=files)))
    assert {name: data for name, data in found.items() if "dist-info" not in name} == {
        "a/b.py": b"1", "c.py": b"2", "d/e.so": b"3",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["../up.py", "/root.py", "a-1.0.data/purelib/../../up.py", "a-1.0.data", "a-1.0.data/purelib",
     "."],
)  # fmt: skip
def test_a_wheel_that_leads_elsewhere_is_refused(tmp_path, name):
    path = tmp_path / "a-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(BundleFault, match="is damaged"):
        unpacked(Wheel.at(path))


def test_a_damaged_wheel_is_refused(tmp_path):
    path = make_wheel(tmp_path, "a", files={"a.py": "x" * 100})
    path.write_bytes(path.read_bytes().replace(b"xxxxx", b"xxyxx", 1))
    with pytest.raises(BundleFault, match=r"is damaged \(.*CRC"):
        unpacked(Wheel.at(path))


@pytest.mark.parametrize("what", ["content", "encrypted", "method"])
def test_a_wheel_whose_zip_cannot_be_unpacked_is_refused(tmp_path, what):
    path = tmp_path / "a-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", "".join(map(str, range(500))))
    path.write_bytes(damage(path.read_bytes(), what, slice(40, 60)))
    with pytest.raises(BundleFault, match=r"is damaged \(.*; fetch it again") as fault:
        unpacked(Wheel.at(path))
    assert "\n" not in str(fault.value)
