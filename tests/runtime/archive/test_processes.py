"""Processes that classify, are killed and replaced: every recording is answered once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge_runtime import Classifier
from ser_edge_runtime.archive.answers import Answer, Settings
from ser_edge_runtime.archive.order import AsTheyCome, InOrder
from ser_edge_runtime.archive.processes import (
    WorkersDied,
    ending,
    in_processes,
    in_this_process,
)
from ser_edge_runtime.errors import WindowError

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "tests" / "data" / "format_v1.tflite"
CLIPS = sorted(str(path) for path in (ROOT / "examples" / "clips").glob("*.wav"))
NAMES = [f"{number}.wav" for number in range(40)]


class Toy(Settings):
    """Answers without a model; some names end the process that reads them."""

    def classifier(self):
        if self.name == "broken":
            os._exit(3)

    def answer(self, classifier, path):
        if "deadly" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return Answer(path, (), f"seen by {os.getpid()}")


@pytest.fixture
def settings():
    return Settings("model", MODEL.read_bytes())


def test_two_processes_answer_as_one_does(settings, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_text("text")
    paths = [*CLIPS[:3], str(broken), *CLIPS[3:]]
    answers = list(in_processes(paths, settings, 2, InOrder()))
    assert answers == list(in_this_process(paths, settings))
    assert [answer.path for answer in answers] == paths
    assert [answer.fault is None for answer in answers] == [path != str(broken) for path in paths]
    expected = Classifier.load(MODEL).classify_file(CLIPS[0])
    assert answers[0].results == (expected,)
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_processes_are_replaced_and_nothing_is_lost():
    answers = in_processes(iter(NAMES), Toy("toy", b""), 2, AsTheyCome())
    seen = [next(answers)]
    killed = {child.pid for child in multiprocessing.active_children()}
    assert len(killed) == 2
    for process in killed:
        os.kill(process, signal.SIGKILL)
    seen += answers
    assert sorted(answer.path for answer in seen) == sorted(NAMES)
    assert {int(answer.fault.split()[-1]) for answer in seen} - killed


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_recording_that_ends_its_process_twice_is_named_and_the_others_are_answered():
    paths = [*NAMES[:5], "deadly.wav", *NAMES[5:]]
    answers = list(in_processes(paths, Toy("toy", b""), 1, InOrder()))
    assert [answer.path for answer in answers] == paths
    (fault,) = [answer.fault for answer in answers if answer.path == "deadly.wav"]
    assert fault.startswith("deadly.wav: ended the process that read it, 2 times (killed by SIG")
    assert len({answer.fault for answer in answers}) == 3  # of two processes, and of the recording


def test_processes_that_never_answer_end_the_work():
    with pytest.raises(WorkersDied, match="exit code 3"):
        list(in_processes(NAMES, Toy("broken", b""), 1, AsTheyCome()))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("gate", [True, False])
def test_lengths_are_checked_without_a_classification(settings, monkeypatch, gate):
    def never(self, features):
        raise AssertionError("nothing is to be classified yet")

    monkeypatch.setattr(Classifier, "logits", never)
    replace(settings, segment=0.5, gate=gate).classifier()
    for segment, step in ((0.5, 0.0001), (-1.0, None), (0.0001, None), (float("inf"), 1.0)):
        with pytest.raises(WindowError):
            replace(settings, segment=segment, step=step).classifier()


def test_recordings_are_taken_as_they_are_needed(settings):
    taken = []

    def paths():
        for name in NAMES:
            taken.append(name)
            yield name

    answers = in_processes(paths(), Toy("toy", b""), 1, AsTheyCome())
    next(answers)
    assert len(taken) <= 6
    answers.close()
    assert multiprocessing.active_children() == []


def test_windows_have_their_times_and_their_faults(settings, tmp_path):
    settings = Settings("model", MODEL.read_bytes(), segment=1.0)
    (answer,) = in_this_process(CLIPS[:1], settings)
    assert [result.start for result in answer.results[:2]] == [0.0, 1.0]
    (fault,) = in_this_process([str(tmp_path / "none.wav")], settings)
    assert (fault.results, "does not exist" in fault.fault) == ((), True)
    with pytest.raises(WindowError):
        Settings("model", MODEL.read_bytes(), segment=1.0, step=0.0001).classifier()


def test_an_error_of_ours_ends_no_job(settings):
    class Faulty:
        def classify_file(self, path):
            raise {"memory": MemoryError(), "bug": ZeroDivisionError("by zero")}[path]

    assert "memory; cut it" in settings.answer(Faulty(), "memory").fault
    assert settings.answer(Faulty(), "bug").fault == (
        "bug: internal error: ZeroDivisionError: by zero"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "killed by SIGKILL"), (3, "exit code 3"), (-1000, "killed by signal 1000")],
)
def test_how_a_process_ended_in_words(code, words):
    assert ending(code) == words
