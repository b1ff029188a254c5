"""``ser-edge classify`` with --list, --jobs, --out, --resume and --min-score, as a whole."""

from __future__ import annotations

import io
import json
import shutil
from datetime import datetime

import pytest

from ser_edge.archive import Pace, Recordings
from ser_edge.lines import Lines
from ser_edge.plan import Plan
from ser_edge_runtime import Result
from ser_edge_runtime.archive.json_lines import JsonLines


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def archive(clips, tmp_path):
    """Recordings, one of them broken, and a list of some that lie elsewhere."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for clip in sorted(clips.glob("*.wav"))[:3]:
        shutil.copy(clip, folder)
    (folder / "broken.wav").write_text("text")
    listed = tmp_path / "list.txt"
    other = sorted(clips.glob("*.wav"))[4]
    listed.write_bytes(f"{other}\r\n\n{folder}\n".encode())
    return folder, listed, other


def test_jobs_print_what_one_process_prints(ser_edge, model, clips):
    one = ser_edge("classify", clips, "--csv", "--model", model)
    two = ser_edge("classify", clips, "--csv", "--model", model, "--jobs", 2)
    assert (two.returncode, two.stderr) == (0, "")
    assert two.stdout == one.stdout


def test_an_archive_is_kept_torn_and_gone_on_with(ser_edge, one_line, model, archive, tmp_path):
    folder, listed, other = archive
    out = tmp_path / "out.jsonl"
    words = ["classify", folder, "--list", listed, "--model", model, "--out", out]
    first = ser_edge(*words)
    assert first.returncode == 1
    assert first.stdout == ""
    assert f"{folder / 'broken.wav'}: is no audio" in first.stderr
    assert "5 in all" in first.stderr
    # What the folder and the list both name is in it once.
    paths = [str(path) for path in (*sorted(folder.iterdir()), other)]
    assert [row["path"] for row in rows(out)] == paths
    plain = ser_edge("classify", other, "--json", "--model", model)
    assert rows(out)[-1] == json.loads(plain.stdout)
    one_line(ser_edge(*words), 2, "exists already", "--resume")
    expected = rows(out)
    out.write_bytes(out.read_bytes()[:-10])
    again = ser_edge(*words, "--resume")
    assert again.returncode == 1  # there is a fault in it
    assert "4 of 5 done before" in again.stderr
    assert "1 recordings in it have an error" in again.stderr
    assert rows(out) == expected
    one_line(ser_edge(*words, "--resume", "--top", 2), 2, "was begun with top none, now it is 2")


def test_a_list_on_standard_input_and_a_least_score(ser_edge, model, clips, tmp_path):
    out = tmp_path / "out.jsonl"
    words = ["classify", "--list", "-", "--model", model, "--out", out, "--min-score"]
    done = ser_edge(*words, 1, stdin=f"{clips}\n".encode())
    assert done.returncode == 0, done.stderr
    assert {row["label"] for row in rows(out)} == {"uncertain"}
    assert len(rows(out)) == 8


def test_uncertain_in_text(ser_edge, model, clip):
    sure = ser_edge("classify", clip, "--model", model, "--min-score", 0)
    unsure = ser_edge("classify", clip, "--model", model, "--min-score", 1)
    assert "uncertain" not in sure.stdout
    assert unsure.stdout.split()[1] == "uncertain"
    assert unsure.stdout.replace("uncertain", " " * 9) == sure.stdout


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--resume"], "--resume needs --out"),
        (["--jobs", "2", "--dask", "tcp://127.0.0.1:1"], "exclude each other"),
        (["--out", "out.csv"], ".jsonl or .parquet"),
        (["--out", "nowhere/out.jsonl"], "there is no folder nowhere"),
        (["--out", "out.jsonl", "--json"], "--out and --json exclude"),
        (["-", "--jobs", "2"], "standard input"),
        (["--jobs", "0"], "--jobs"),
        (["--min-score", "2"], "--min-score"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_do_not_go_together(ser_edge, one_line, clip, words, fault):
    one_line(ser_edge("classify", clip, *words), 2, fault, "see: ser-edge classify --help")


def test_nothing_to_classify(ser_edge, one_line, tmp_path):
    one_line(ser_edge("classify"), 2, "--list")
    one_line(ser_edge("classify", "--list", tmp_path / "none.txt"), 1, "none.txt", "check the name")


def result(**scores):
    label = max(scores, key=scores.get)
    return Result(label, scores[label], scores, 2.0, 0.0, 2.0)


def test_a_line_at_the_least_score_is_certain():
    answer = result(sad=0.5, calm=0.25, angry=0.25)
    lines = Lines(tuple(answer.scores), 5, min_score=0.5)
    assert lines.values("a.wav", answer)["label"] == "sad"
    assert lines.text("a.wav", answer).split() == ["a.wav", "sad", "50.0", "%", "calm", "25.0", "%"]
    unsure = Lines(tuple(answer.scores), 5, min_score=0.51, top=1)
    values = unsure.values("a.wav", answer)
    assert (values["label"], values["score"], values["scores"]) == ("uncertain", 0.5, {"sad": 0.5})
    assert unsure.values("a.wav", answer, flat=True)["sad"] == 0.5


def test_recordings_without_a_store_come_as_often_as_they_are_named(clip):
    recordings = Recordings((str(clip), str(clip)), io.BytesIO(f"{clip}\n".encode()), None)
    assert (recordings.total, recordings.left) == (3, 3)
    assert [path for path, _ in recordings] == 3 * [str(clip)]
    assert recordings.longest == len(str(clip))


def test_recordings_with_a_store_come_once_and_only_if_they_are_not_done(clips, tmp_path):
    paths = sorted(map(str, clips.glob("*.wav")))
    with JsonLines(tmp_path / "out.jsonl", {}) as store:
        store.append([{"path": paths[1]}])
    listed = io.BytesIO("\n".join(paths[:3]).encode())
    with JsonLines(tmp_path / "out.jsonl", {}, resume=True) as store:
        recordings = Recordings((str(clips), paths[0]), listed, store)
        assert (recordings.total, recordings.left) == (8, 7)
        for _ in range(2):
            assert [path for path, _ in recordings] == [paths[0], *paths[2:]]


def test_the_pace_and_the_end():
    seconds, day = [0.0], datetime(2030, 5, 1, 23, 50)
    pace = Pace(lambda: seconds[0], lambda: day)
    assert pace.words(0, 10) == ""
    seconds[0] = 10.0
    assert pace.words(50, 600) == "5.0 a second, until 23:52"
    assert pace.words(50, 6000) == "5.0 a second, until Thu 02 May 00:10"


def test_which_plans_are_large():
    assert not Plan(("a.wav", "folder")).large
    assert Plan(("a.wav",), jobs=1).large
    assert Plan((), listed="list.txt").large
    assert Plan(("a.wav",), out="OUT.PARQUET").parquet
