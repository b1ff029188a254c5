"""``ser-edge bundle --deb``: the package read back, by hand and by Debian's own tool."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from ser_edge.devices import wheels as wheels_module
from ser_edge.devices.debian_archive import Entry, write_package
from ser_edge.devices.debian_package import debian_version
from ser_edge.devices.wheels import BundleFault, Wheel
from ser_edge_runtime.model_file import parse_model_file
from tests.devices.fake_wheels import FakePip, make_wheel, shelf
from tests.devices.test_commands import said
from tests.runtime.slots.models import model


def members(data: bytes) -> dict[str, bytes]:
    """The members of an ``ar``, read as ar(5) says."""
    assert data[:8] == b"!<arch>\n"
    found, place = {}, 8
    while place < len(data):
        header = data[place : place + 60].decode()
        assert header[58:] == "`\n"
        assert (header[28:34].strip(), header[34:40].strip()) == ("0", "0")
        assert header[40:48].strip() == "100644"
        size = int(header[48:58])
        found[header[:16].strip()] = data[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    return found


def tar(data: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        return {
            entry.name: (entry, archive.extractfile(entry).read() if entry.isfile() else b"")
            for entry in archive
        }


@pytest.fixture
def build(capsys, tmp_path, pip):
    """Makes a package of release 7 and gives its file."""
    (tmp_path / "m.tflite").write_bytes(model(7, licence="free of all"))
    files = {"ser_edge/__init__.py": "", "ser_edge/devices/x.sh": "#!/bin/sh\n"}
    own = make_wheel(tmp_path, "ser_edge", "0.1.0", files=files)

    def building(name="a.deb", *words, platform="aarch64"):
        out = tmp_path / name
        code, text, err = said(
            capsys, "bundle", tmp_path / "m.tflite", "--platform", platform, "--wheel", own,
            "--deb", "--out", out, *words,
        )  # fmt: skip
        assert (code, err) == (0, ""), err
        assert f"on the device: apt install ./{name}" in text
        return out

    return building


def control_of(path) -> dict[str, str]:
    text = tar(members(path.read_bytes())["control.tar.gz"])["./control"][1].decode()
    return dict(re.findall(r"^([\w-]+): (.*)$", text, re.MULTILINE))


def test_a_package_is_two_archives_behind_its_version(build):
    parts = members(build().read_bytes())
    assert list(parts) == ["debian-binary", "control.tar.gz", "data.tar.gz"]
    assert parts["debian-binary"] == b"2.0\n"
    for name in ("control.tar.gz", "data.tar.gz"):
        # No file name and no time in gzip's header, which would tell when it was made.
        assert parts[name][3] & 0b1000 == 0
        assert parts[name][4:8] == bytes(4)
    assert set(tar(parts["control.tar.gz"])) == {
        ".", "./control", "./md5sums", "./postinst", "./postrm", "./prerm",
    }  # fmt: skip


def test_its_files_and_whose_they_are(build, tmp_path):
    files = tar(members(build().read_bytes())["data.tar.gz"])
    names = {name for name, (entry, _) in files.items() if entry.isfile()}
    assert {"./usr/bin/ser-edge", "./usr/share/ser-edge/model.tflite",
            "./usr/share/doc/ser-edge/copyright", "./usr/lib/ser-edge/numpy/__init__.py",
            "./usr/lib/ser-edge/ser_edge/devices/x.sh"} <= names  # fmt: skip
    assert files["./usr/share/ser-edge/model.tflite"][1] == (tmp_path / "m.tflite").read_bytes()
    assert b"free of all" in files["./usr/share/doc/ser-edge/copyright"][1]
    for name, (entry, _) in files.items():
        assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "root", "root")
        assert entry.mode == (0o755 if entry.isdir() or name == "./usr/bin/ser-edge" else 0o644)
    assert files["./usr/lib"][0].isdir()
    # The slots are the device's own: dpkg must not know them.
    assert not any(name.startswith("./var") for name in files)


def test_the_sums_are_those_of_the_files(build):
    parts = members(build().read_bytes())
    files = tar(parts["data.tar.gz"])
    rows = tar(parts["control.tar.gz"])["./md5sums"][1].decode().splitlines()
    assert len(rows) == sum(entry.isfile() for entry, _ in files.values())
    for row in rows:
        digest, name = row.split("  ")
        assert hashlib.md5(files[f"./{name}"][1]).hexdigest() == digest


def test_the_control_file_says_what_it_needs(build):
    found = control_of(build("a.deb", "--maintainer", "Ann <ann@example.org>"))
    assert found["Package"] == "ser-edge"
    assert found["Version"] == "0.1.0-7"
    assert found["Architecture"] == "arm64"
    assert found["Maintainer"] == "Ann <ann@example.org>"
    assert found["Depends"] == (
        "python3 (>= 3.11~), python3 (<< 3.12~), libc6 (>= 2.27), libstdc++6, libgcc-s1, zlib1g"
    )
    assert "Recommends" not in found
    assert int(found["Installed-Size"]) > len(model(7)) // 1024
    assert "python3 (<< 3.14~)" in control_of(build("b.deb", "--python", "3.13"))["Depends"]


def test_on_32_bit_arm_it_depends_on_the_systems_numpy(build, monkeypatch, tmp_path):
    monkeypatch.setattr(wheels_module, "_run", FakePip(shelf(tmp_path / "arm", "armv7l")))
    path = build("a.deb", platform="armhf")
    found = control_of(path)
    assert found["Architecture"] == "armhf"
    assert found["Depends"].endswith(", python3-numpy")
    assert found["Recommends"] == "libsndfile1, python3-cffi-backend"
    assert not any("/numpy/" in name for name in tar(members(path.read_bytes())["data.tar.gz"]))


def test_the_same_call_gives_the_same_bytes(build):
    assert build("a.deb").read_bytes() == build("b.deb").read_bytes()


def test_the_launcher_finds_its_own_packages_alone_and_survives_being_imported(build, tmp_path):
    place = tmp_path / "lib"
    (place / "ser_edge").mkdir(parents=True)
    (place / "ser_edge" / "__init__.py").write_text("")
    (place / "ser_edge" / "cli.py").write_text("def main(): print('called')\n")
    text = tar(members(build().read_bytes())["data.tar.gz"])["./usr/bin/ser-edge"][1]
    assert text.startswith(b"#!/usr/bin/python3 -I\n")
    script = tmp_path / "ser-edge"
    script.write_text(text.decode().replace("/usr/lib/ser-edge", str(place)))
    calls = [[script], ["-c", f"import runpy; runpy.run_path({str(script)!r}, run_name='x')"]]
    printed = [
        subprocess.run([sys.executable, "-I", *words], capture_output=True, check=True).stdout
        for words in calls
    ]
    assert printed == [b"called\n", b""]


def by_tarfile(path, into):
    parts = members(path.read_bytes())
    for name, place in (("control.tar.gz", into / "DEBIAN"), ("data.tar.gz", into)):
        with tarfile.open(fileobj=io.BytesIO(parts[name])) as archive:
            archive.extractall(place, filter="tar")


def by_dpkg_deb(path, into):
    subprocess.run(["dpkg-deb", "--raw-extract", path, into], check=True)


# Debian's own tool where there is one.
READERS = [by_tarfile, *([by_dpkg_deb] if shutil.which("dpkg-deb") else [])]


@pytest.mark.parametrize("reader", READERS)
def test_read_back_it_is_whole(build, tmp_path, reader):
    raw = tmp_path / "raw"
    raw.mkdir()
    reader(build(), raw)
    assert "Version: 0.1.0-7\n" in (raw / "DEBIAN" / "control").read_text()
    assert (raw / "usr" / "bin" / "ser-edge").stat().st_mode & 0o111
    for name in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", raw / "DEBIAN" / name], check=True)
    for row in (raw / "DEBIAN" / "md5sums").read_text().splitlines():
        digest, name = row.split("  ")
        assert hashlib.md5((raw / name).read_bytes()).hexdigest() == digest


def test_removal_spares_the_slots_and_purging_does_not(build):
    scripts = tar(members(build().read_bytes())["control.tar.gz"])
    assert all(scripts[f"./{n}"][0].mode == 0o755 for n in ("postinst", "prerm", "postrm"))
    removal = scripts["./postrm"][1].decode()
    assert "remove) rm -rf /usr/lib/ser-edge ;;" in removal
    assert "purge) rm -rf /usr/lib/ser-edge /var/lib/ser-edge ;;" in removal
    assert "/var/lib" not in scripts["./prerm"][1].decode()


def test_compiled_files_go_before_a_new_version_comes(build, tmp_path):
    text = tar(members(build().read_bytes())["control.tar.gz"])["./prerm"][1].decode()
    lib = tmp_path / "lib"
    (lib / "a" / "b" / "__pycache__").mkdir(parents=True)
    (lib / "a" / "__pycache__").mkdir()
    (lib / "a" / "b" / "__pycache__" / "x.pyc").write_bytes(b"")
    (lib / "a" / "b" / "x.py").write_text("")
    script = tmp_path / "prerm"
    script.write_text(text.replace("/usr/lib/ser-edge", str(lib)))
    for _ in range(2):
        subprocess.run(["sh", script, "upgrade", "1"], check=True)
    found = sorted(path.relative_to(lib).as_posix() for path in lib.rglob("*"))
    assert found == ["a", "a/b", "a/b/x.py"]


@pytest.mark.parametrize(
    ("own", "release", "version"),
    [
        ("0.1.0", 0, "0.1.0-0"),
        ("0.1.0", 12, "0.1.0-12"),
        ("1.0rc2", 1, "1.0~rc2-1"),
        ("1.0.dev3", 1, "1.0~dev3-1"),
        ("1.0b1", 1, "1.0~b1-1"),
    ],
)
def test_versions_rise_with_ser_edge_and_with_the_model(tmp_path, own, release, version):
    wheel = Wheel.at(make_wheel(tmp_path, "ser_edge", own))
    assert debian_version([wheel], parse_model_file(model(release), "m")) == version


def test_a_package_that_is_there_is_not_written_over(capsys, tmp_path, build):
    path = build()
    before = path.read_bytes()
    words = ["--platform", "aarch64", "--deb", "--out", path]
    code, _, err = said(capsys, "bundle", tmp_path / "m.tflite", *words)
    assert (code, err) == (
        1, f"ser-edge: {path}: is there already; name another, or remove it\n",
    )  # fmt: skip
    assert path.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_two_wheels_with_different_files_of_one_name_are_refused(capsys, tmp_path, pip):
    make_wheel(pip.shelf, "click", "2.0", files={"numpy/__init__.py": "other"})
    (tmp_path / "m.tflite").write_bytes(model(1))
    own = make_wheel(tmp_path, "ser_edge", "0.1.0")
    code, _, err = said(capsys, "bundle", tmp_path / "m.tflite", "--platform", "aarch64",
                        "--wheel", own, "--deb", "--out", tmp_path / "a.deb")  # fmt: skip
    assert (code, "brings another numpy/__init__.py" in err) == (1, True)
    assert not (tmp_path / "a.deb").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "usr/../etc/passwd", "usr/a\nb"])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(BundleFault, match="is no name in a package"):
        write_package({"control": ""}, {name: Entry(b"")})
