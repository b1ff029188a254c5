"""``ser-edge bundle``: what the folder holds, what is refused, that nothing is left by halves."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from ser_edge.devices import bundle as bundle_module
from ser_edge.devices import wheels as wheels_module
from ser_edge.devices.bundle import sums
from ser_edge_runtime.signatures import verify
from tests.devices.fake_wheels import FakePip, make_wheel, shelf
from tests.devices.test_commands import said
from tests.runtime.slots.models import make_key, model, signers


@pytest.fixture
def arm(tmp_path):
    """The words of a call but for the model and --out."""
    own = make_wheel(tmp_path, "ser_edge", "0.1.0")
    return ["--platform", "aarch64", "--wheel", own]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "model.tflite").write_bytes(model(7))
    return tmp_path / "model.tflite"


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_all_that_a_device_needs_is_in_the_folder(capsys, tmp_path, pip, arm, path):
    out = tmp_path / "out"
    code, text, err = said(capsys, "bundle", path, *arm, "--out", out)
    assert (code, err) == (0, "")
    assert text.startswith(f"{out}: 8 wheels for aarch64 and Python 3.11, 0.0 MB; on the device: ")
    assert text.endswith("sh out/install.sh\n")
    found = names(out)
    assert [name for name in found if not name.startswith("wheels/")] == [
        "README.txt", "SHA256SUMS", "install.sh", "model.tflite",
    ]  # fmt: skip
    wheels = {name.removeprefix("wheels/").partition("-")[0] for name in found if "/" in name}
    assert wheels == {"ai_edge_litert", "cffi", "click", "numpy", "pycparser", "ser_edge",
                      "soundfile", "typing_extensions"}  # fmt: skip
    assert (out / "model.tflite").read_bytes() == path.read_bytes()
    assert (out / "install.sh").stat().st_mode & 0o777 == 0o755


def test_every_file_has_its_digest(capsys, tmp_path, pip, arm, path):
    out = tmp_path / "out"
    assert said(capsys, "bundle", path, *arm, "--out", out)[0] == 0
    rows = [line.split("  ") for line in (out / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in rows] == [name for name in names(out) if name != "SHA256SUMS"]
    for digest, name in rows:
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


def test_the_same_call_gives_the_same_bytes(capsys, tmp_path, pip, arm, path):
    for out in (tmp_path / "a", tmp_path / "b"):
        assert said(capsys, "bundle", path, *arm, "--out", out)[0] == 0
    assert sums(tmp_path / "a") == sums(tmp_path / "b")
    assert str(tmp_path) not in "".join(
        (tmp_path / "a" / name).read_text() for name in ("install.sh", "README.txt")
    )


def test_the_script_and_the_text_say_what_it_is_for(capsys, tmp_path, pip, arm, path):
    out = tmp_path / "out"
    assert said(capsys, "bundle", path, *arm, "--out", out)[0] == 0
    script = (out / "install.sh").read_text()
    assert not re.search("@[A-Z]+@", script)
    assert "platform=aarch64 architecture=arm64 bits=64 wanted=3.11 glibc=2.27\n" in script
    assert "system_numpy=no\n" in script
    (wheels,) = re.findall("^wheels='(.*)'$", script, re.MULTILINE)
    assert len(wheels.split()) == 8
    text = (out / "README.txt").read_text()
    for words in ("aarch64 (arm64, 64 bits) with Python 3.11 and glibc 2.27", "release 7",
                  "not signed", "  numpy 2.0\n", "  ser-edge 0.1.0\n"):  # fmt: skip
        assert words in text
    assert "32-bit ARM" not in text


def test_json(call, tmp_path, pip, arm, path):
    code, (row,), _ = call("bundle", path, *arm, "--out", tmp_path / "out", "--python", "3.12")
    assert code == 0
    assert row["wheels"]["numpy"] == "2.0"
    assert (row["python"], row["interpreter"], row["signed"]) == ("3.12", "ai-edge-litert", False)
    assert row["model"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row["bytes"] > len(path.read_bytes())


def test_32_bit_arm_takes_the_systems_numpy(capsys, tmp_path, monkeypatch, path):
    monkeypatch.setattr(wheels_module, "_run", FakePip(shelf(tmp_path / "shelf", "armv7l")))
    debs, out = tmp_path / "debs", tmp_path / "out"
    debs.mkdir()
    (debs / "python3-numpy_1.24.2_armhf.deb").write_bytes(b"!<arch>\n")
    words = ["--platform", "armhf", "--wheel", make_wheel(tmp_path, "ser_edge")]
    code, _, err = said(capsys, "bundle", path, *words, "--debs", debs, "--out", out)
    assert (code, err) == (0, "")
    found = names(out)
    assert "debs/python3-numpy_1.24.2_armhf.deb" in found
    assert "debs/python3-numpy_1.24.2_armhf.deb" in (out / "SHA256SUMS").read_text()
    assert not any("numpy" in name or "cffi" in name for name in found if "wheels/" in name)
    assert any("tflite_runtime" in name for name in found)
    assert "system_numpy=yes\n" in (out / "install.sh").read_text()
    assert "PyPI has no numpy for 32-bit ARM" in (out / "README.txt").read_text()


def test_a_signature_beside_the_model_goes_along(capsys, tmp_path, pip, arm, path):
    path.with_name("model.tflite.sig").write_bytes(b"signed")
    out = tmp_path / "out"
    assert said(capsys, "bundle", path, *arm, "--out", out)[0] == 0
    assert (out / "model.tflite.sig").read_bytes() == b"signed"
    assert "signed: model.tflite.sig" in (out / "README.txt").read_text()
    other = tmp_path / "other.sig"
    other.write_bytes(b"other")
    out = tmp_path / "more"
    assert said(capsys, "bundle", path, *arm, "--out", out, "--signature", other)[0] == 0
    assert (out / "model.tflite.sig").read_bytes() == b"other"


def test_a_model_can_be_signed_as_it_is_bundled(capsys, tmp_path, pip, arm, path):
    key, out = make_key(tmp_path, "maker"), tmp_path / "out"
    assert said(capsys, "bundle", path, *arm, "--out", out, "--sign", key)[0] == 0
    data, signature = (out / "model.tflite").read_bytes(), (out / "model.tflite.sig").read_bytes()
    assert verify(data, signature, signers(key), "model") == "maker@example.org"
    code, _, err = said(
        capsys, "bundle", path, *arm, "--out", tmp_path / "x", "--sign", key, "--signature", key
    )
    assert (code, "exclude each other" in err) == (2, True)


@pytest.mark.parametrize("deb", [False, True])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "edgetpu"}, "it is made for edgetpu, the device is cpu"),
        ({"provenance": {"needs_runtime": "9.0"}}, "it needs ser-edge 9.0, the device has 0.1.0"),
    ],
)
def test_what_flash_refuses_is_refused_before_anything_is_fetched(
    capsys, tmp_path, pip, changes, words, deb
):
    other = tmp_path / "other.tflite"
    other.write_bytes(model(1, **changes))
    before = sorted(tmp_path.iterdir())
    call = ["bundle", other, "--platform", "aarch64", "--out", tmp_path / "out", *["--deb"] * deb]
    code, out, err = said(capsys, *call)
    assert (code, out, words in err, err.count("\n")) == (1, "", True, 1)
    assert pip.calls == []
    assert sorted(tmp_path.iterdir()) == before


def test_the_wheel_that_goes_along_must_be_able_to_run_the_model(capsys, tmp_path, pip, path):
    (tmp_path / "needs.tflite").write_bytes(model(1, provenance={"needs_runtime": "0.1.0"}))
    old = make_wheel(tmp_path, "ser_edge", "0.0.9")
    words = ["bundle", tmp_path / "needs.tflite", "--platform", "aarch64", "--wheel", old]
    code, _, err = said(capsys, *words, "--out", tmp_path / "out")
    assert (code, "it needs ser-edge 0.1.0, the device has 0.0.9" in err) == (1, True)


def test_a_folder_that_holds_something_is_left_as_it_is(capsys, tmp_path, pip, arm, path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("x")
    code, _, err = said(capsys, "bundle", path, *arm, "--out", out)
    assert (code, err) == (
        1, f"ser-edge: {out}: is there already, and not empty; name another, or remove it\n",
    )  # fmt: skip
    assert names(out) == ["mine"]
    (out / "mine").unlink()
    assert said(capsys, "bundle", path, *arm, "--out", out)[0] == 0
    assert "install.sh" in names(out)


@pytest.mark.parametrize(
    ("words", "code", "said_"),
    [
        (["--out", "nowhere/out"], 2, "does not exist; create it first"),
        (["--out", "out", "--wheel", "none.whl"], 1, "none.whl: no such file or folder"),
        (["--out", "out", "--wheels", "nowhere"], 1, "nowhere: no such file or folder"),
        (["--out", "out", "--debs", "."], 1, "holds no .deb; fetch some"),
        (["--out", "out", "--debs", ".", "--deb"], 2, "--debs is for a folder"),
        (["--out", "out", "--maintainer", "me"], 2, "is not as 'Name <address>'"),
        (["--out", "out", "--maintainer", "me <a@b>\nX: y"], 2, "is not as 'Name <address>'"),
        (["--out", "out", "--python", "3.9"], 2, "3.9"),
        (["--out", "out", "--signature", "none.sig"], 1, "none.sig: no such file"),
    ],
)
def test_wrong_options_are_one_line(capsys, tmp_path, monkeypatch, pip, path, words, code, said_):
    monkeypatch.chdir(tmp_path)
    found, out, err = said(capsys, "bundle", path, "--platform", "aarch64", *words)
    assert (found, out, said_ in err, err.count("\n")) == (code, "", True, 1), err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["fetch", "readme", "sums"])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_fault_half_way_leaves_nothing(
    capsys, tmp_path, monkeypatch, pip, arm, path, step, fault
):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(bundle_module, step, fail)
    before = sorted(tmp_path.iterdir())
    code, _, err = said(capsys, "bundle", path, *arm, "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (130 if step and "Key" in repr(fault) else 1, 1)
    assert sorted(tmp_path.iterdir()) == before


def test_a_package_without_a_wheel_is_one_line(capsys, tmp_path, pip, arm, path):
    pip.fault = ["ERROR: No matching distribution found for numpy>=1.24"]
    code, _, err = said(capsys, "bundle", path, *arm, "--out", tmp_path / "out")
    assert code == 1
    assert err.startswith("ser-edge: numpy: has no wheel for aarch64 and Python 3.11; ")
    assert not (tmp_path / "out").exists()


def test_the_record_is_valid_json_for_a_package(capsys, tmp_path, pip, arm, path):
    words = ["bundle", path, *arm, "--deb", "--out", tmp_path / "a.deb", "--json"]
    code, out, _ = said(capsys, *words)
    assert code == 0
    assert json.loads(out)["bytes"] == (tmp_path / "a.deb").stat().st_size
    assert len(json.loads(out)["wheels"]) == 8
