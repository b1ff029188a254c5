"""JSON lines that a kill may cut anywhere, and that go on where they were cut."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.archive.job import (
    ArchiveBusy,
    ArchiveError,
    ArchiveExists,
    DamagedArchive,
    OtherJob,
)
from ser_edge_runtime.archive.json_lines import SYNC_EVERY, JsonLines

JOB = {"model": "a" * 64, "segment": None}


def one(name):
    return [{"path": name, "label": "calm", "score": 0.5}]


def windows(name, count):
    return [{"path": name, "start": float(start)} for start in range(count)]


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@contextmanager
def folder():
    """A fresh one for each of hypothesis' examples."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@settings(max_examples=30)
@given(st.integers(0, 8), st.floats(0, 1, allow_subnormal=False))
def test_cut_anywhere_and_gone_on_with_each_is_in_it_once(before, share):
    names = [f"clip {number}.wav" for number in range(8)]
    with folder() as place:
        path = place / "out.jsonl"
        with JsonLines(path, JOB) as store:
            for name in names[:before]:
                store.append(one(name))
        whole = path.read_bytes()
        torn = whole[: round(share * len(whole))]
        path.write_bytes(torn)
        with JsonLines(path, JOB, resume=True) as store:
            assert len(store) == torn.count(b"\n")
            assert store.cut == len(torn) - (torn.rfind(b"\n") + 1)
            for name in names:
                if name not in store:
                    store.append(one(name))
        assert [row["path"] for row in lines(path)] == names


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.floats(0, 1, allow_subnormal=False))
def test_cut_among_a_recordings_windows_all_of_them_are_done_again(counts, share):
    with folder() as place:
        path = place / "out.jsonl"
        with JsonLines(path, JOB, grouped=True) as store:
            for number, count in enumerate(counts):
                store.append(windows(str(number), count))
        expected = path.read_bytes()
        path.write_bytes(expected[: round(share * len(expected))])
        with JsonLines(path, JOB, resume=True, grouped=True) as store:
            for number, count in enumerate(counts):
                if str(number) not in store:
                    store.append(windows(str(number), count))
        assert path.read_bytes() == expected


def test_what_was_appended_is_there_before_the_file_is_closed(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("a"))
        assert lines(path) == one("a")


def test_faults_are_counted_and_done(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("a"))
        store.append([{"path": "b", "error": "b: is empty"}])
    with JsonLines(path, JOB, resume=True) as store:
        assert (len(store), store.faults) == (2, 1)
        assert "b" in store


def test_any_name_comes_back_as_it_was(tmp_path):
    names = ["a\nb", "é", b"\xff".decode("utf-8", "surrogateescape"), '"', " "]
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        for name in names:
            store.append(one(name))
    with JsonLines(path, JOB, resume=True) as store:
        assert len(store) == len(names)
        assert all(name in store for name in names)


def test_results_that_are_there_are_not_written_to_without_resume(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("a"))
    with pytest.raises(ArchiveExists, match="--resume"), JsonLines(path, JOB):
        pass
    assert lines(path) == one("a")


@pytest.mark.parametrize("resume", [False, True])
def test_an_empty_file_is_as_good_as_none(tmp_path, resume):
    path = tmp_path / "out.jsonl"
    path.touch()
    with JsonLines(path, JOB, resume=resume) as store:
        store.append(one("a"))
    assert lines(path) == one("a")


def test_two_cannot_write_at_a_time(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("a"))
        with pytest.raises(ArchiveBusy), JsonLines(path, JOB, resume=True):
            pass
        store.append(one("b"))
    with JsonLines(path, JOB, resume=True) as store:
        assert len(store) == 2


@pytest.mark.parametrize(("key", "value"), [("model", "b" * 64), ("segment", 1.0)])
def test_another_job_does_not_go_on(tmp_path, key, value):
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("a"))
    with (
        pytest.raises(OtherJob, match=f"with {key} "),
        JsonLines(path, {**JOB, key: value}, resume=True),
    ):
        pass


@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_results_of_somebody_else_are_left_alone(tmp_path, content):
    path = tmp_path / "out.jsonl"
    path.write_text('{"path": "a"}\n')
    if content is not None:
        path.with_name("out.jsonl.job.json").write_bytes(content)
    with pytest.raises(ArchiveError, match="no archive"), JsonLines(path, JOB, resume=True):
        pass
    assert path.read_text() == '{"path": "a"}\n'


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense", b"[1]", b'"path"', b"null", b'{"path": 1}', b'{"path": null}', b"\0",
        b'{"label": "a"}', b"[" * 100_000,
        *([] if os.name == "nt" else [b'{"path": "\\ud800"}']),
    ],
    ids=lambda line: line[:20],
)  # fmt: skip
def test_a_damaged_line_is_named_unless_it_is_the_torn_last(tmp_path, line):
    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("a"))
    good = path.read_bytes()
    path.write_bytes(good + line + b"\n" + good)
    with pytest.raises(DamagedArchive, match="line 2"), JsonLines(path, JOB, resume=True):
        pass
    assert path.read_bytes() == good + line + b"\n" + good
    path.write_bytes(good + line)
    with JsonLines(path, JOB, resume=True) as store:
        assert (len(store), store.cut) == (1, len(line))
    assert path.read_bytes() == good


def test_the_disk_is_asked_to_keep_it_every_few_seconds(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    now = [0.0]
    with JsonLines(tmp_path / "out.jsonl", JOB, clock=lambda: now[0]) as store:
        before = len(synced)
        store.append(one("a"))
        assert len(synced) == before
        now[0] = SYNC_EVERY
        store.append(one("b"))
        store.append(one("c"))
        assert len(synced) == before + 1
    assert len(synced) == before + 2


def test_a_full_disk_names_the_file_and_keeps_what_it_holds(tmp_path, monkeypatch):
    class Full:
        def __init__(self, stream):
            self.fileno, self.close = stream.fileno, stream.close

        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "out.jsonl"
    with JsonLines(path, JOB) as store:
        store.append(one("first.wav"))
        monkeypatch.setattr(store, "_stream", Full(store._stream))
        with pytest.raises(OSError, match="make room, and go on with --resume") as caught:
            store.append(one("second.wav"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert [row["path"] for row in lines(path)] == ["first.wav"]
