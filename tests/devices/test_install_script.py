"""install.sh of a bundle: what it refuses, in which order it works, and what a failure leaves.

The machine's words (dpkg, getconf, uname) are scripts; the environment is real, the wheels
are small and ser-edge in them writes down how it was called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_edge.devices import wheels as wheels_module
from ser_edge.devices.bundle import Order, sums, write_bundle
from ser_edge.devices.platforms import PLATFORMS
from tests.devices.fake_wheels import NAMES, FakePip, make_wheel
from tests.runtime.slots.models import model

PYTHON = "{}.{}".format(*sys.version_info)
BITS = "64"
# What stands in for ser-edge: a call is a line in $LOG, and $FAIL names a word that makes it fail.
PROGRAM = """
import os, sys
with open(os.environ["LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
print("somewhere: toy (0123456789ab), self-test held: fake would be in use")
sys.exit(os.environ.get("FAIL", "no such word") in sys.argv)
"""


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Makes a bundle for a platform; its wheels run anywhere."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in NAMES:
        make_wheel(shelf, name)
    monkeypatch.setattr(wheels_module, "_run", FakePip(shelf))

    def making(platform="x86_64", version="0.1.0", python=PYTHON) -> Path:
        files = {"ser_edge/__init__.py": "", "ser_edge/__main__.py": PROGRAM,
                 "ser_edge/version.py": version}  # fmt: skip
        own = make_wheel(tmp_path, "ser_edge", version, files=files)
        kind = PLATFORMS[platform]
        order = Order("m", model(1), None, kind, python, kind.interpreter, wheel=own)
        out = tmp_path / f"bundle-{platform}-{version}"
        write_bundle(order, out)
        return out

    return making


@pytest.fixture
def install(tmp_path):
    """Runs install.sh where dpkg, getconf and uname say what they are told."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()

    def installing(folder, *words, dpkg="amd64", bits=BITS, uname="x86_64", **environment):
        says = {"getconf": bits, "uname": uname, "sync": ""} | ({"dpkg": dpkg} if dpkg else {})
        for name, text in says.items():
            path = bin_folder / name
            path.write_text(f"#!/bin/sh\necho {text}\n")
            path.chmod(0o755)
        for tool in ("sha256sum", "id", "dirname", "mkdir", "cut", "sed", "head", "ls", "wc", "mv",
                     "rm", "chmod"):  # fmt: skip
            link = bin_folder / tool
            if not link.exists():
                link.symlink_to(shutil.which(tool))
        return subprocess.run(
            ["/bin/sh", folder / "install.sh", "--prefix", tmp_path / "opt",
             "--slots", tmp_path / "var" / "slots", "--python", sys.executable, *words],
            capture_output=True, text=True, check=False,
            env={"PATH": str(bin_folder), "HOME": str(tmp_path), "LOG": str(tmp_path / "log"),
                 **environment},
        )  # fmt: skip

    return installing


def refused(done) -> str:
    """The one line of a refusal."""
    assert done.returncode == 1, done.stdout
    line, empty = done.stderr.split("\n")
    assert empty == ""
    assert line.startswith("install.sh: ")
    return line.removeprefix("install.sh: ")


def log(tmp_path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_installed_upgraded_and_left_alone_when_the_next_one_fails(tmp_path, bundle, install):
    folder, slots = bundle(), tmp_path / "var" / "slots"
    done = install(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:4] == [
        "files: whole", f"machine: amd64, 64 bits, Python {PYTHON}", "installed: 8 wheels",
        "self-test: passed by toy (0123456789ab), self-test held: fake would be in use",
    ]  # fmt: skip
    assert f"classify --model {slots} RECORDING" in done.stdout.splitlines()[-1]
    (first,) = (tmp_path / "opt").glob("runtime-*")
    trial, real = log(tmp_path)
    assert trial == f"flash model.tflite {first}/slots --here --dry-run"
    assert real == f"flash model.tflite {slots} --here"
    launcher = tmp_path / "opt" / "bin" / "ser-edge"
    subprocess.run([launcher, "info"], env={"LOG": str(tmp_path / "log")}, check=True)
    assert log(tmp_path)[-1] == "info"

    # A self-test that fails, then slots that refuse: the old one goes on.
    other = bundle(version="0.2.0")
    assert "self-test failed, and nothing was changed" in refused(install(other, FAIL="--dry-run"))
    assert list((tmp_path / "opt").glob("runtime-*")) == [first]
    text = refused(install(other, "--allow-downgrade", FAIL="--allow-downgrade"))
    assert "the slots keep the model that they had" in text
    assert log(tmp_path)[-1] == f"flash model.tflite {slots} --here --allow-downgrade"
    assert list((tmp_path / "opt").glob("runtime-*")) == [first]
    assert str(first) in launcher.read_text()

    done = install(other, "--keep-model")
    assert done.returncode == 0, done.stderr
    (second,) = (tmp_path / "opt").glob("runtime-*")
    assert second != first
    assert str(second) in launcher.read_text()
    assert log(tmp_path)[-1].endswith("--dry-run")


def test_a_damaged_or_missing_file_is_named(tmp_path, bundle, install):
    folder = bundle()
    wheel = next((folder / "wheels").glob("numpy*"))
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-1] + b"x")
    assert refused(install(folder)) == (
        f"wheels/{wheel.name} is damaged or missing; copy the bundle again"
    )
    wheel.unlink()
    assert refused(install(folder)).startswith(f"wheels/{wheel.name} is damaged or missing")
    (folder / "SHA256SUMS").unlink()
    assert refused(install(folder)) == "SHA256SUMS is damaged or missing; copy the bundle again"
    assert not (tmp_path / "opt").exists()


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"dpkg": "armhf", "bits": "32", "uname": "aarch64"},
         "this is a 32-bit system (armhf) on a 64-bit kernel, the bundle is for aarch64; make one "
         "with: ser-edge bundle MODEL --platform armhf"),
        ({"dpkg": None, "bits": "32", "uname": "aarch64"},
         "this is a 32-bit system (armhf) on a 64-bit kernel, the bundle is for aarch64; make one "
         "with: ser-edge bundle MODEL --platform armhf"),
        ({"dpkg": "armhf", "bits": "32", "uname": "armv7l"},
         "this is a 32-bit system (armhf), the bundle is for aarch64; make one "
         "with: ser-edge bundle MODEL --platform armhf"),
        ({"dpkg": "amd64"},
         "this is a 64-bit system (amd64), the bundle is for aarch64; make one with: ser-edge "
         "bundle MODEL --platform x86_64"),
        ({"dpkg": None, "uname": "riscv64"},
         "this is a 64-bit system (riscv64), the bundle is for aarch64"),
    ],
)  # fmt: skip
def test_the_system_counts_and_not_what_its_kernel_calls_itself(
    tmp_path, bundle, install, machine, words
):
    assert refused(install(bundle("aarch64"), **machine)) == words
    assert not (tmp_path / "opt").exists()


@pytest.mark.parametrize("dpkg", ["arm64", None])
@pytest.mark.parametrize("uname", ["aarch64", "arm64"])
def test_a_64_bit_system_is_taken_for_one(tmp_path, bundle, install, dpkg, uname):
    # As far as the check of Python, which is the next.
    text = refused(install(bundle("aarch64", python="3.9"), dpkg=dpkg, uname=uname))
    assert text.startswith(f"{sys.executable} is Python {PYTHON}, the bundle's wheels are for 3.9")


def fake_python(tmp_path, says: str, fails_at: str = "never") -> list[str]:
    path = tmp_path / "python"
    path.write_text(
        f"#!/bin/sh\ncase \"$*\" in *'{fails_at}'*) exit 1 ;; -c*) exit 0 ;; esac\necho {says}\n"
    )
    path.chmod(0o755)
    return ["--python", str(path)]


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("3.13 64 fits", "is Python 3.13, the bundle's wheels are for 3.11; name another with "
         "--python, or make the bundle with: --python 3.13"),
        ("3.11 32 fits", "is a program of 32 bits, the bundle's wheels are for 64; name another: "
         "--python PROGRAM"),
        ("3.11 64 2.19", "the wheels need glibc 0.0, here is 2.19; the bundle is for a newer "
         "system"),
        ("3.11 64 none", "here is none"),
    ],
)  # fmt: skip
def test_another_python_is_refused(tmp_path, bundle, install, says, words):
    folder = bundle(python="3.11")
    assert words in refused(install(folder, *fake_python(tmp_path, says)))
    assert not (tmp_path / "opt").exists()


def test_what_python_lacks_is_said(tmp_path, bundle, install):
    words = fake_python(tmp_path, "3.11 64 fits", "import venv")
    text = refused(install(bundle(python="3.11"), *words))
    assert text == "needs Python's venv; install it: apt install python3-venv"
    done = install(bundle("aarch64"), "--python", tmp_path / "none", dpkg="arm64")
    assert done.returncode == 1
    assert done.stderr.endswith("/none does not run; name another: --python PROGRAM\n")


def test_32_bit_arm_without_the_systems_numpy_is_one_line(tmp_path, bundle, install):
    machine = {"dpkg": "armhf", "bits": "32", "uname": "aarch64"}
    folder = bundle("armhf", python="3.11")
    words = fake_python(tmp_path, "3.11 32 fits", "import numpy")
    assert refused(install(folder, *words, **machine)) == (
        "needs the system's numpy, as PyPI has none for 32-bit ARM; install it: "
        "apt install python3-numpy"
    )
    assert not (tmp_path / "opt").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense"], "--nonsense is no option; there are --prefix"),
        (["--prefix"], "--prefix needs a value"),
    ],
)
def test_wrong_options(tmp_path, bundle, install, words, said):
    assert refused(install(bundle(), *words)).startswith(said)


def test_a_place_that_cannot_be_written_is_said(tmp_path, bundle, install):
    (tmp_path / "opt").write_text("a file")
    text = refused(install(bundle()))
    assert text.startswith(f"cannot write to {tmp_path}/opt or beside ")
    assert text.endswith("name others: --prefix FOLDER --slots FOLDER")


def test_spaces_in_names_do_no_harm(tmp_path, bundle, install):
    made = bundle()
    folder = tmp_path / "a stick"
    made.rename(folder)
    done = install(folder, "--prefix", tmp_path / "an opt", FAIL="--dry-run")
    assert "self-test failed" in done.stderr
    assert "installed: 8 wheels" in done.stdout
    assert list((tmp_path / "an opt").iterdir()) == [tmp_path / "an opt" / "bin"]


def test_the_script_belongs_to_the_sums(bundle):
    folder = bundle()
    assert "  install.sh\n" in sums(folder)
    assert os.access(folder / "install.sh", os.X_OK)
