"""``ser-edge doctor clip.wav`` on one recording spoiled in ten ways by docs/spoil.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ser_edge.cli import run
from ser_edge_runtime import load_audio
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def spoil():
    return load_script(ROOT / "docs" / "spoil.py")


@pytest.fixture(scope="module")
def spoiled(spoil, clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoiled")
    samples, rate = load_audio(clip)
    for way in spoil.FAULTS:
        spoil.write(folder / f"{way}.wav", *spoil.spoil(samples, rate, way))
    return folder


@pytest.fixture(scope="module")
def found(ser_edge, spoiled):
    done = ser_edge("doctor", spoiled, "--json")
    assert done.returncode == 1
    assert done.stderr.startswith("ser-edge: 10 of 10 recordings have faults")
    return [json.loads(line) for line in done.stdout.splitlines()]


WAYS = {
    "clipped": ("clipping", "clipped: "),
    "too quiet": ("level", "too quiet: "),
    "8 kHz band": ("bandwidth", "narrow band: sound up to "),
    "hum": ("hum", "mains hum of 50 Hz"),
    "silence": ("level", "silence: "),
    "wrong rate in the header": ("sample rate", "times too fast"),
    "too short": ("length", "too short: 0.25 s"),
    "music": ("music", "music, or tones: "),
    "noise": ("noise", "noise: "),
    "dead channel": ("channels", "channel 2 of 2 is dead"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_fault_is_named_with_what_to_do(found, spoil, way):
    name, words = WAYS[way]
    assert spoil.FAULTS[way] == name
    checks = [row for row in found if Path(row["path"]).stem == way]
    failed = {row["name"]: row["detail"] for row in checks if row["status"] == "FAILED"}
    assert words in failed[name]
    assert ";" in failed[name]


def test_a_good_recording_for_people(ser_edge, clip):
    done = ser_edge("doctor", clip)
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == str(clip)
    assert len(lines) == 10
    assert not any("FAILED" in line for line in lines)


def test_what_cannot_be_read_is_named_and_the_rest_is_looked_at(ser_edge, clip, tmp_path):
    done = ser_edge("doctor", tmp_path / "none.wav", clip, "--json")
    assert done.returncode == 1
    fault, *checks = map(json.loads, done.stdout.splitlines())
    assert set(fault) == {"path", "error"}
    assert len(checks) == 10
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_read_is_counted_beside_the_spoiled(capsys, spoiled, tmp_path):
    assert run(["doctor", str(tmp_path / "none.wav"), str(spoiled / "silence.wav")]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("ser-edge: 1 of 1 recordings have faults, and 1 more could not be read;")
