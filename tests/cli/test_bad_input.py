"""Every input that users get wrong: one line, exit code 1 or 2, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from ser_edge_runtime import stored_zip
from ser_edge_runtime.model_file import MEMBERS, read_model_file

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def wav(samples: bytes, *, tag: int = 1, bits: int = 16, declared: int | None = None) -> bytes:
    """A WAV of one channel at 16 kHz whose header may lie about its length."""
    form = struct.pack("<HHIIHH", tag, 1, 16000, 16000 * bits // 8, bits // 8, bits)
    length = len(samples) if declared is None else declared
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", length) + samples
    return b"RIFF" + struct.pack("<I", len(body) - len(samples) + length) + body


RECORDINGS = {
    "empty": (b"", "empty"),
    "text": (b"Dear Sir or Madam,\n" * 40, ""),
    "shorter than declared": (wav(bytes(3200), declared=32000), ""),
    "zero frames": (wav(b""), "0 frames"),
    "half a header": (wav(bytes(3200))[:20], ""),
    "nan": (wav(struct.pack("<f", float("nan")) * 1600, tag=3, bits=32), ""),
    "infinity": (wav(struct.pack("<f", float("inf")) * 1600, tag=3, bits=32), ""),
    "noise": (bytes(range(256)) * 20, ""),
    "silence": (wav(bytes(32000)), "speech"),
}


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("way", ["file", "stdin", "segment"])
def test_a_recording_that_cannot_be_used(ser_edge, one_line, model, tmp_path, name, way):
    data, word = RECORDINGS[name]
    path = tmp_path / "clip.wav"
    path.write_bytes(data)
    words = {"file": [path], "stdin": ["-"], "segment": [path, "--segment", "1"]}[way]
    done = ser_edge("classify", *words, "--json", "--model", model, stdin=data)
    if name == "silence" and way != "segment":
        word = "holds no sound"
    one_line(done, 1, "-" if way == "stdin" else str(path), word)
    assert set(json.loads(done.stdout)) == {"path", "error"}


def test_a_recording_that_is_missing(ser_edge, one_line, model, tmp_path):
    done = ser_edge("classify", tmp_path / "missing.wav", "--model", model)
    one_line(done, 1, str(tmp_path / "missing.wav"))
    assert done.stdout == ""


def test_a_folder_without_recordings(ser_edge, one_line, model, tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    one_line(ser_edge("classify", tmp_path, "--model", model), 1, str(tmp_path), "no recording")


@pytest.fixture
def forbidden(clip, model):
    """A folder open to all with a clip, a closed folder and a closed file in it, and a model."""
    folder = Path(tempfile.mkdtemp(prefix="ser-edge-"))
    folder.chmod(0o755)
    shutil.copy(model, folder / "model.tflite")
    for name in ("good.wav", "closed.wav"):
        shutil.copy(clip, folder / name)
        (folder / name).chmod(0o644)
    (folder / "model.tflite").chmod(0o644)
    (folder / "closed").mkdir()
    shutil.copy(clip, folder / "closed" / "unseen.wav")
    (folder / "closed").chmod(0)
    (folder / "closed.wav").chmod(0)
    yield folder
    (folder / "closed").chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize("which", ["folder", "closed", "closed.wav"])
def test_what_another_user_may_not_read_is_named(forbidden, clip, which):
    target = forbidden if which == "folder" else forbidden / which
    words = ["classify", str(target), "--model", str(forbidden / "model.tflite")]
    # Root reads everything, so the process becomes somebody else, after it has imported all.
    code = (
        "import os, sys\n"
        "from ser_edge.cli import main, run\n"
        f"assert run(['classify', {str(clip)!r}, *{words[2:]!r}]) == 0\n"
        "sys.stdout.flush()\n"
        f"os.geteuid() or os.setuid({NOBODY})\n"
        f"main({words!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    faults = done.stderr.splitlines()
    if which == "folder":
        assert [str(forbidden / name) in line for name, line in
                zip(("closed.wav", "closed"), faults, strict=True)] == [True, True]  # fmt: skip
        assert str(forbidden / "good.wav") in done.stdout
    else:
        assert len(faults) == 1
        assert str(target) in faults[0]
    assert all("ermission" in line or "read" in line for line in faults)


def damaged_models(model: Path) -> dict[str, bytes]:
    data = model.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 0x10
    graph = read_model_file(model).flatbuffer
    start, members = stored_zip.parse(
        data, most_members=3, largest_zip=len(data), largest_member=len(data)
    )
    values = json.loads(members[MEMBERS[0]])
    values["front_end"]["clip_seconds"] += 1
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    other = members | {MEMBERS[0]: text.encode()}
    in_zip = bytearray(data)
    in_zip[start + 40] ^= 1
    return {
        "empty": b"",
        "text": b"not a model\n" * 100,
        "cut in half": data[: len(data) // 2],
        "one byte short": data[:-1],
        "one bit flipped in the graph": bytes(flipped),
        "one bit flipped in the zip": bytes(in_zip),
        "plain": graph,
        "another front end": graph + stored_zip.build(other, start),
    }


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "text",
        "cut in half",
        "one byte short",
        "one bit flipped in the graph",
        "one bit flipped in the zip",
        "plain",
        "another front end",
    ],
)
@pytest.mark.parametrize("command", ["classify", "info"])
def test_a_model_that_cannot_be_used(ser_edge, one_line, model, clip, tmp_path, name, command):
    path = tmp_path / "model.tflite"
    path.write_bytes(damaged_models(model)[name])
    words = {"classify": ["classify", clip, "--model", path], "info": ["info", path]}[command]
    done = ser_edge(*words)
    one_line(done, 1, str(path))
    assert done.stdout == ""
    if name == "plain":
        assert "metadata" in done.stderr
        assert "ser-edge" in done.stderr.partition(": ")[2]


def test_a_model_with_a_zip_bomb_for_metadata(ser_edge, one_line, model, clip, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(read_model_file(model).flatbuffer)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBERS[0], bytes(1 << 30))
    assert path.stat().st_size < 2 << 20
    one_line(ser_edge("classify", clip, "--model", path), 1, str(path))


@pytest.mark.parametrize("name", ["missing.tflite", "."])
def test_a_model_that_is_not_there_or_is_a_folder(ser_edge, one_line, clip, tmp_path, name):
    one_line(ser_edge("classify", clip, "--model", tmp_path / name), 1, str(tmp_path))
    one_line(ser_edge("info", tmp_path / name), 1, str(tmp_path))


def test_doctor_reports_a_damaged_model_as_a_failed_check(ser_edge, model, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model.read_bytes()[:-1])
    done = ser_edge("doctor", "--model", path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert str(path) in line
    assert done.stderr.count("\n") == 1


def test_the_environment_names_the_user_that_tests_run_as():
    # test_what_another_user_may_not_read_is_named means nothing if setuid were impossible.
    assert os.geteuid() != NOBODY
