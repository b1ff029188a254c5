"""``ser-edge doctor`` on a 32-bit system: what it is, and which ways in there are."""

from __future__ import annotations

import builtins
import stat
import sys

import pytest

from ser_edge.commands import doctor
from ser_edge.commands.doctor import FAILED, NOTE, OK, check_platform


def test_32_bit_raspberry_pi_os_is_told_what_it_is_and_its_ways_in():
    check = check_platform("Linux", "aarch64", 32, "little", "armhf")
    assert check.status == NOTE
    for words in (
        "a 32-bit system (armhf) on a 64-bit kernel, so that it calls itself aarch64 and is none",
        "PyPI has no numpy for it",
        "install python3-numpy of the distribution",
        "ser-edge bundle MODEL --platform armhf",
        "--deb",
    ):
        assert words in check.detail
    assert "\n" not in check.detail


@pytest.mark.parametrize(
    ("machine", "architecture", "kernel", "bundled"),
    [
        ("armv7l", "armhf", False, True),
        ("armv7l", "", False, True),
        ("armv8l", "", False, True),
        ("aarch64", "", True, True),
        ("i686", "i386", False, False),
        ("x86_64", "i386", True, False),
    ],
)
def test_a_bundle_is_the_way_in_for_arm_alone(machine, architecture, kernel, bundled):
    detail = check_platform("Linux", machine, 32, "little", architecture).detail
    assert ("64-bit kernel" in detail) == kernel
    assert ("--platform armhf" in detail) == bundled
    assert f"({architecture})" in detail or not architecture


@pytest.mark.parametrize("architecture", ["", "arm64"])
def test_a_64_bit_system_needs_none_of_it(architecture):
    check = check_platform("Linux", "aarch64", 64, "little", architecture)
    assert (check.status, check.detail) == (OK, "Linux on aarch64, Python of 64 bits")


def test_dpkg_is_asked_on_32_bits_alone(monkeypatch, tmp_path):
    program = tmp_path / "dpkg"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\necho armhf\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = doctor._checks(None, 1, None, None)
    assert [next(checks).name for _ in range(2)] == ["ser-edge", "platform"]
    assert not (tmp_path / "asked").exists()
    monkeypatch.setattr(doctor.struct, "calcsize", lambda form: 4)
    checks = doctor._checks(None, 1, None, None)
    next(checks)
    assert "(armhf)" in next(checks).detail
    assert (tmp_path / "asked").read_text() == "--print-architecture\n"
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert doctor._debian_architecture() == ""


@pytest.mark.parametrize(
    ("bits", "way"), [(64, "run: pip install numpy"), (32, "run: apt install python3-numpy")]
)
def test_a_missing_numpy_is_to_be_had_from_who_has_it(monkeypatch, bits, way):
    real = builtins.__import__

    def without(name, *rest):
        if name == "numpy":
            raise ImportError("No module named 'numpy'")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.setattr(builtins, "__import__", without)
    check = doctor._numpy(bits)
    monkeypatch.undo()
    assert check.status == FAILED
    assert check.detail.endswith(way)
