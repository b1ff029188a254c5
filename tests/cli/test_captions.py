"""Subtitles, the speech gate and long recordings in ``ser-edge classify``."""

from __future__ import annotations

import json
import re
import wave
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge.captions import Captions
from ser_edge_runtime import Classifier, Result, load_audio

CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d),(\d{3})")


def result(start, end, label, score=0.5):
    return Result(label, score, {label: score}, end - start, start, end)


def text(*results):
    texts = []
    captions = Captions(texts.append)
    for one in results:
        captions.push(one)
    captions.close()
    return "".join(texts)


def cues(srt):
    found = []
    for number, block in enumerate(srt.strip().split("\n\n"), 1):
        index, times, words = block.split("\n")
        assert int(index) == number
        begin, end = (
            int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000
            for h, m, s, ms in CLOCK.findall(times)
        )
        assert re.fullmatch(rf"{CLOCK.pattern} --> {CLOCK.pattern}", times)
        found.append((begin, end, words))
    return found


def test_the_format_of_a_caption():
    assert text(result(3723.5, 3726.25, "angry", 0.756)) == (
        "1\n01:02:03,500 --> 01:02:06,250\nangry 76 %\n\n"
    )
    assert text(result(59.9996, 61.0, "sad")).startswith("1\n00:01:00,000 --> 00:01:01,000\n")
    assert text() == ""


def test_equal_labels_that_touch_become_one_with_the_mean_score():
    srt = text(
        result(0, 3, "calm", 0.5), result(1, 4, "calm", 0.7), result(4, 7, "calm", 0.6),
        result(8, 11, "calm", 0.9),
    )  # fmt: skip
    assert cues(srt) == [(0, 7, "calm 60 %"), (8, 11, "calm 90 %")]


def test_overlapping_windows_are_shown_until_the_next_begins():
    srt = text(result(0, 3, "calm"), result(1, 4, "sad"), result(2, 5, "calm"))
    assert cues(srt) == [(0, 1, "calm 50 %"), (1, 2, "sad 50 %"), (2, 5, "calm 50 %")]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from("ab")), min_size=1), st.integers(1, 90)
)
def test_captions_never_overlap_and_cover_every_window_start(steps, length):
    start, results = 0.0, []
    for step, label in steps:
        start += step / 10
        results.append(result(start, start + length / 10, label))
    found = cues(text(*results))
    for (_, end, _), (begin, _, _) in pairwise(found):
        assert end <= begin + 1e-9
    for one in results:
        (words,) = [w for begin, end, w in found if begin <= round(one.start, 3) < end]
        assert words.split()[0] == one.label


def test_a_file_is_written_when_it_is_complete(tmp_path):
    path = tmp_path / "film.srt"
    captions = Captions(path=str(path))
    captions.push(result(0, 1, "élevé"))
    assert not path.exists()
    captions.close()
    assert path.read_text("utf-8") == "1\n00:00:00,000 --> 00:00:01,000\nélevé 50 %\n\n"


@pytest.fixture(scope="module")
def expected(model, clip):
    return Classifier.load(model).windows(*load_audio(clip), 1.0, 0.5)


def test_srt_of_a_recording(ser_edge, model, clip, expected, tmp_path):
    path = tmp_path / "clip.srt"
    words = ["classify", clip, "--model", model, "--segment", 1, "--step", 0.5]
    beside = ser_edge(*words, "--json", "--srt", path)
    assert beside.returncode == 0, beside.stderr
    assert len(beside.stdout.splitlines()) == len(expected)
    assert path.read_text("utf-8") == text(*expected)
    alone = ser_edge(*words, "--srt", "-")
    assert alone.stdout == text(*expected)
    unsure = ser_edge(*words, "--srt", "-", "--min-score", 1)
    assert {words.split()[0] for *_, words in cues(unsure.stdout)} == {"uncertain"}


def test_a_recording_that_fails_leaves_no_subtitles(ser_edge, one_line, model, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    srt = tmp_path / "bad.srt"
    words = ["classify", tmp_path / "bad.wav", "--model", model, "--segment", 1, "--srt", srt]
    one_line(ser_edge(*words), 1, "bad.wav")
    assert not srt.exists()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--srt", "-"], "--srt needs --segment"),
        (["--no-gate"], "--no-gate needs --segment"),
        (["--segment", "1", "--srt", "-", "--json"], "--srt - and --json"),
        (["--segment", "1", "--srt", "-", "--jobs", "2"], "--srt is for one"),
        (["--segment", "1", "--srt", "none/a.srt"], "does not exist"),
        (["--segment", "1", "--srt", "kept.WAV"], "'--srt': kept.WAV is a recording by its name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_options_exit_2(ser_edge, one_line, model, clip, words, fault):
    one_line(ser_edge("classify", clip, "--model", model, *words), 2, fault)


def test_subtitles_are_of_one_recording(ser_edge, one_line, model, clips):
    done = ser_edge("classify", clips, "--model", model, "--segment", 1, "--srt", "-")
    one_line(done, 2, "one recording, not for 8")


@pytest.mark.parametrize("jobs", [[], ["--jobs", "2"]], ids=["alone", "jobs"])
def test_silence_has_no_result_but_is_named(ser_edge, model, clip, write_wav, tmp_path, jobs):
    silent = write_wav(tmp_path / "silent.wav", 48_000)
    words = ["classify", silent, clip, "--json", "--model", model, "--segment", 1, *jobs]
    done = ser_edge(*words)
    assert done.returncode == 1
    assert "none of its windows holds speech; " in done.stderr
    fault, *rest = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(fault) == {"path", "error"}
    assert {row["path"] for row in rest} == {str(clip)}
    every = ser_edge(*words, "--no-gate")
    assert every.returncode == 0, every.stderr
    labels = [json.loads(line) for line in every.stdout.splitlines()]
    assert [row["path"] for row in labels[:3]] == [str(silent)] * 3


def test_results_of_a_long_recording_come_before_its_end(ser_edge, model, clip, tmp_path):
    """Whatever breaks off after the first window was printed: here the file itself."""
    import soundfile

    samples, rate = load_audio(clip)
    path = tmp_path / "cut.flac"
    soundfile.write(path, list(samples) * 12, rate)
    path.write_bytes(path.read_bytes()[:-20_000])
    done = ser_edge("classify", path, "--model", model, "--segment", 1, "--json")
    assert done.returncode == 1
    *results, fault = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) >= 5
    assert "cut.flac" in fault["error"]
    assert all("error" not in row for row in results)


def test_a_file_whose_header_tells_that_it_is_cut_has_no_result(ser_edge, model, clip, tmp_path):
    path = tmp_path / "cut.wav"
    path.write_bytes(clip.read_bytes()[:-1000])
    done = ser_edge("classify", path, "--model", model, "--segment", 1, "--json")
    assert [set(json.loads(line)) for line in done.stdout.splitlines()] == [{"path", "error"}]


def test_a_wav_of_another_rate_and_stdin_have_the_same_windows(ser_edge, model, tmp_path, clip):
    path = tmp_path / "other.wav"
    with wave.open(str(clip)) as source, wave.open(str(path), "wb") as other:
        other.setparams(source.getparams()._replace(framerate=22050))
        other.writeframes(source.readframes(source.getnframes()))
    words = ["--model", model, "--segment", "0.5", "--json"]
    by_name = ser_edge("classify", path, *words)
    by_pipe = ser_edge("classify", "-", *words, stdin=path.read_bytes())
    assert by_name.stdout.replace(str(path), "-") == by_pipe.stdout
    assert by_name.stdout
