"""Archives kept as Parquet: whole parts or none, as others read them."""

from __future__ import annotations

import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest

from ser_edge_runtime.archive import parquet
from ser_edge_runtime.archive.job import ArchiveBusy, ArchiveExists, DamagedArchive, OtherJob
from ser_edge_runtime.archive.parquet import PART_SECONDS, Parquet

JOB = {"labels": ["calm", "sad"], "segment": None}


def row(name, **values):
    scores = {"calm": 0.75, "sad": 0.25}
    return {
        "path": name,
        "label": "calm",
        "score": 0.75,
        "scores": scores,
        "seconds": 2.5,
        **values,
    }


def table(path):
    """As a user reads it: the folder at once, job and lock left out."""
    return pyarrow.dataset.dataset(path, format="parquet").to_table().to_pylist()


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parquet, "PART_ROWS", 3)


def test_rows_come_back_with_a_column_a_class(tmp_path):
    path = tmp_path / "out.parquet"
    with Parquet(path, JOB) as store:
        store.append([row("a.wav")])
        store.append([{"path": "b.wav", "error": "b.wav: is empty"}])
        store.append([row("c.wav", start=0.0, end=1.0), row("c.wav", start=1.0, end=2.0)])
    first, fault, *windows = table(path)
    assert first == {
        "path": "a.wav", "start": None, "end": None, "label": "calm", "score": 0.75,
        "seconds": 2.5, "error": None, "calm": 0.75, "sad": 0.25,
    }  # fmt: skip
    assert (fault["path"], fault["label"], fault["error"]) == ("b.wav", None, "b.wav: is empty")
    assert [(window["start"], window["end"]) for window in windows] == [(0.0, 1.0), (1.0, 2.0)]


@pytest.mark.usefixtures("small_parts")
def test_what_no_part_held_is_done_again_and_each_is_in_it_once(tmp_path):
    path = tmp_path / "out.parquet"
    names = [f"{number}.wav" for number in range(8)]
    with Parquet(path, JOB) as store:
        for name in names[:5]:
            store.append([row(name)])
        store._rows.clear()  # as a kill leaves it: the last two were in no part yet
    (path / ".part-00000002.parquet.77.part").write_bytes(b"half")
    with Parquet(path, JOB, resume=True) as store:
        assert (len(store), store.cut) == (3, 4)
        for name in names:
            if name not in store:
                store.append([row(name)])
    assert sorted(found["path"] for found in table(path)) == names
    assert len(list(path.glob("part-*.parquet"))) == 3
    assert not list(path.glob(".*.part"))


def test_a_part_is_written_after_a_while_however_few_rows_it_has(tmp_path):
    now = [0.0]
    path = tmp_path / "out.parquet"
    with Parquet(path, JOB, clock=lambda: now[0]) as store:
        store.append([row("a.wav")])
        assert not list(path.glob("part-*"))
        now[0] = PART_SECONDS
        store.append([row("b.wav")])
        assert len(table(path)) == 2


@pytest.mark.usefixtures("small_parts")
def test_the_windows_of_a_recording_are_in_one_part(tmp_path):
    path = tmp_path / "out.parquet"
    with Parquet(path, JOB) as store:
        for name in "ab":
            store.append([row(name, start=float(start)) for start in range(5)])
    parts = [pyarrow.parquet.read_table(part) for part in sorted(path.glob("part-*"))]
    assert [set(part["path"].to_pylist()) for part in parts] == [{"a"}, {"b"}]
    with Parquet(path, JOB, resume=True) as store:
        assert len(store) == 2


def test_names_that_are_not_utf8_and_faults(tmp_path):
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    path = tmp_path / "out.parquet"
    with Parquet(path, JOB) as store:
        store.append([{"path": name, "error": f"{name}: is empty"}])
    assert table(path)[0]["path"] == r"caf\xe9.wav"
    with Parquet(path, JOB, resume=True) as store:
        assert name in store
        assert store.faults == 1


def test_who_may_write(tmp_path):
    path = tmp_path / "out.parquet"
    with Parquet(path, JOB) as store:
        store.append([row("a.wav")])
        with pytest.raises(ArchiveBusy), Parquet(path, JOB, resume=True):
            pass
    with pytest.raises(ArchiveExists), Parquet(path, JOB):
        pass
    with (
        pytest.raises(OtherJob, match="segment"),
        Parquet(path, {**JOB, "segment": 1}, resume=True),
    ):
        pass
    (path / "part-00000002.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DamagedArchive, match="part-00000002"), Parquet(path, JOB, resume=True):
        pass


def test_from_the_command_line(tmp_path):
    from ser_edge.cli import run
    from tests.system.test_imports import CLIP, MODEL

    words = ["classify", str(CLIP), "--model", str(MODEL), "--out", str(tmp_path / "out.parquet")]
    assert run(words) == 0
    assert run([*words, "--resume"]) == 0
    (found,) = table(tmp_path / "out.parquet")
    assert found["path"] == str(CLIP)
    assert found[found["label"]] == found["score"]
