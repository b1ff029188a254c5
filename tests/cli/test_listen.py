"""``ser-edge listen`` as a whole: pipes, a terminal, and what cannot be listened to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime import Classifier, Smoothing, load_audio
from ser_edge_runtime.model_file import default_model_path
from ser_edge_runtime.slots import Slots, self_test_with

ROOT = Path(__file__).resolve().parents[2]
LISTEN = [sys.executable, "-m", "ser_edge", "listen"]


@pytest.fixture(scope="module")
def talk(clips):
    """Ten seconds of talk and two of silence, 16 bits, 16 kHz."""
    samples = np.concatenate([load_audio(clip)[0] for clip in sorted(clips.glob("*.wav"))])
    return np.concatenate([samples[:160_000], np.zeros(32_000, np.float32)])


@pytest.fixture(scope="module")
def raw(talk):
    return (talk * 32768).astype("<i2").tobytes()


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_pipe_gives_what_classify_gives(ser_edge, model, talk, raw):
    words = ["--model", model, "--segment", 2, "--step", 0.5]
    done = ser_edge("listen", "-", *words, stdin=raw)
    assert done.returncode == 0, done.stderr
    expected = Classifier.load(model).windows(talk, 16000, 2.0, 0.5)
    latencies = [row.pop("latency") for row in rows(done)]
    assert all(latency["audio"] >= 0 and latency["compute"] > 0 for latency in latencies)
    assert [
        (row["start"], row["end"], row["label"], row["score"], row["scores"], row["seconds"])
        for row in rows(done)
    ] == [(r.start, r.end, r.label, r.score, r.scores, r.seconds) for r in expected]


def test_the_summary_is_on_stderr(ser_edge, model, raw):
    done = ser_edge("listen", "-", "--model", model, "--segment", 1, "--json", stdin=raw)
    first, answers, latency = done.stderr.splitlines()
    silent = int(
        re.fullmatch(r"12\.0 s heard: 12 windows, (\d) without speech, 0 overruns", first)[1]
    )
    assert len(rows(done)) == 12 - silent
    assert 1 <= silent <= 3
    assert sum(int(share) for share in re.findall(r"(\d+) %", answers)) == pytest.approx(100, abs=2)
    assert "ms of sound after its window" in latency


def test_a_wav_without_end_says_what_it_is(ser_edge, model, raw, clip):
    words = ["listen", "-", "--model", model, "--segment", 1]
    plain = ser_edge(*words, stdin=raw)
    header = bytearray(clip.read_bytes()[:44])
    header[4:8] = header[40:44] = b"\xff" * 4
    wav = ser_edge(*words, "--rate", 8000, "--format", "u8", stdin=bytes(header) + raw)
    assert [row["scores"] for row in rows(wav)] == [row["scores"] for row in rows(plain)]


def test_raw_samples_are_what_the_options_say(ser_edge, model, talk, raw):
    words = ["listen", "-", "--model", model, "--segment", 1]
    plain = rows(ser_edge(*words, stdin=raw))
    stereo = np.repeat(np.frombuffer(raw, "<i2") / np.float32(32768), 2).astype("<f4").tobytes()
    other = rows(ser_edge(*words, "--format", "f32le", "--channels", 2, stdin=stereo))
    assert [row["scores"] for row in other] == [row["scores"] for row in plain]
    slow = rows(ser_edge(*words, "--rate", 8000, stdin=raw))
    assert slow[-1]["end"] > 1.5 * plain[-1]["end"]


def test_it_ends_after_as_many_seconds_as_asked_for(ser_edge, model, raw):
    done = ser_edge("listen", "-", "--model", model, "--seconds", 2.5, "--no-gate", stdin=raw)
    assert done.stderr.startswith("2.5 s heard: ")
    assert rows(done)[-1]["end"] == 2.5


def test_without_the_gate_silence_is_classified(ser_edge, model):
    words = ["listen", "-", "--model", model, "--segment", 1]
    done = ser_edge(*words, stdin=bytes(64_000))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "2.0 s heard: 2 windows, 2 without speech, 0 overruns\n"
    assert len(rows(ser_edge(*words, "--no-gate", stdin=bytes(64_000)))) == 2


def test_smoothing_is_that_of_the_library(ser_edge, model, talk, raw):
    words = ["--smooth", "--half-life", 3, "--margin", 0.05, "--hold", 1]
    done = ser_edge(
        "listen", "-", "--model", model, "--segment", 1, "--step", 0.5, *words, stdin=raw
    )
    smoothing = Smoothing(half_life=3, margin=0.05, hold=1)
    expected = [
        smoothing.push(result) for result in Classifier.load(model).windows(talk, 16000, 1.0, 0.5)
    ]
    assert [(row["label"], row["scores"]) for row in rows(done)] == [
        (result.label, result.scores) for result in expected
    ]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["clip.wav"], "ser-edge classify"),
        (["--format", "s16le"], "for a pipe"),
        (["--channels", "2"], "for a pipe"),
        (["-", "--device", "usb"], "for the microphone"),
        (["-", "--half-life", "2"], "--half-life needs --smooth"),
        (["-", "--margin", "2", "--smooth"], "--margin"),
        (["-", "--rate", "10"], "--rate"),
        (["-", "--format", "mp3"], "--format"),
        (["-", "--step", "0.0001"], "too short"),
        (["-", "--seconds", "0"], "--seconds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_options_exit_2(ser_edge, one_line, model, words, fault):
    done = ser_edge("listen", "--model", model, *words, stdin=bytes(64_000))
    one_line(done, 2, fault, "see: ser-edge listen --help")


def test_what_is_no_sound_is_one_line_after_the_summary(ser_edge, model):
    data = np.append(np.zeros(8000), np.full(9000, np.nan)).astype("<f4").tobytes()
    done = ser_edge("listen", "-", "--model", model, "--format", "f32le", stdin=data)
    assert done.returncode == 1
    summary, *_, fault = done.stderr.splitlines()
    assert re.match(r"0\.[1-5] s heard: ", summary)
    assert "NaN" in fault
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("data", [b"\0\0\xc0\x7f" * 9000, b"RIFF\0\0\0\0WAVEfmt "])
def test_before_any_sound_a_fault_has_no_summary(ser_edge, one_line, model, data):
    one_line(ser_edge("listen", "-", "--model", model, "--format", "f32le", stdin=data), 1, "-: ")


@pytest.mark.parametrize("words", [[], ["--list-devices"]])
def test_without_sounddevice_the_extra_is_named(words, tmp_path, model, one_line):
    (tmp_path / "sounddevice.py").write_text("raise ImportError('not here')")
    done = subprocess.run(
        [*LISTEN, "--model", str(model), *words], capture_output=True, text=True, check=False,
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    one_line(done, 2, "pip install 'ser-edge[mic]'")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("count", [0, 64_000])
def test_ctrl_c_ends_it_with_the_last_window_and_a_summary(model, raw, number, count):
    """While it waits for sound, whether or not any has come."""
    with subprocess.Popen(
        [*LISTEN, "-", "--model", str(model), "--segment", "1", "--no-gate"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=False,
    ) as child:  # fmt: skip
        if count:
            child.stdin.write(raw[:count] + raw[:1600])
            child.stdin.flush()
            # It has taken all that was sent once the first window is out.
            assert json.loads(child.stdout.readline())["start"] == 0
        else:
            # It listens to signals once it reads; the pipe's other end shows no such thing.
            wait_for_handler(child.pid, number)
        child.send_signal(number)
        output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    assert re.match(rb"\d\.\d s heard: ", errors)
    if count:
        assert json.loads(output.splitlines()[-1])["end"] >= 1.0


def wait_for_handler(pid, number):
    """Until the process catches the signal, by what the kernel says of it."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*([0-9a-f]+)", status)[1], 16)
        if number == signal.SIGTERM and caught >> (number - 1) & 1:
            return
        # Python itself catches SIGINT from the start: SIGTERM tells when ours is in place.
        if number == signal.SIGINT and caught >> (signal.SIGTERM - 1) & 1:
            return


def test_a_terminal_gets_a_live_line(model, raw):
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*LISTEN, "-", "--model", str(model), "--segment", "1"],
        stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT,
        env=os.environ | {"COLUMNS": "70", "PYTHONIOENCODING": "utf-8"},
    ) as child:  # fmt: skip
        os.close(theirs)
        _, errors = child.communicate(raw, timeout=120)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert child.returncode == 0, errors
    text = seen.decode()
    assert text.startswith("\r")
    assert text.endswith("\n")
    states = text.strip("\r\n").split("\r")
    assert len(states) >= 11
    assert all(len(state) < 70 for state in states)
    assert "no speech" in states[-1]
    assert any("%" in state and "█" in state for state in states)
    assert "{" not in text
    assert b"12.0 s heard" in errors


def test_a_switched_model_is_taken_up_between_two_results(model, raw, tmp_path):
    slots = Slots.at(tmp_path)
    slots.install(model.read_bytes(), None, self_test_with())
    words = [*LISTEN, "-", "--model", str(tmp_path), "--no-gate", "--json"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdin.write(raw[:128_000])
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        slots.install(default_model_path().read_bytes(), None, self_test_with())
        out, err = process.communicate(raw[128_000:])
    last = json.loads(out.splitlines()[-1])
    assert set(first["scores"]) == set(Classifier.load(model).labels)
    assert set(last["scores"]) == set(Classifier.load().labels)
    assert last["end"] == pytest.approx(12.0, abs=0.1)
    assert b"model now in use: ser-edge default (" in err
