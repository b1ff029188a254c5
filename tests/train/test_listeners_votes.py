"""docs/listeners_votes.py: what CREMA-D's listeners heard, beside what a teacher says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.teacher_scores import TeacherScores
from tests.conftest import ROOT
from tests.scripts import load_script

SCRIPT = ROOT / "docs" / "listeners_votes.py"
LABELS = ("angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise")
TABLE = '"","FileName","VoiceVote","VoiceLevel"\n'

votes = load_script(SCRIPT)


def clip(corpus, stem, number):
    return Clip(
        corpus, stem, f"{stem}.wav", "1001", "", "angry", "", "", "", 1.0, f"{number:064x}", ""
    )


def manifest_of(root, *clips):
    return Manifest(root, tuple(clip(*each, number) for number, each in enumerate(clips)))


def scores_of(count, seed=0):
    table = np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)), count)
    return TeacherScores(LABELS, tuple(f"{n:064x}" for n in range(count)), table, "ab" * 32)


def written(path, *rows):
    path.write_text(TABLE + "".join(f'"{n}",{row}\n' for n, row in enumerate(rows, start=1)))
    return path


# --- the votes ------------------------------------------------------------------------------


def test_votes_are_read_by_the_name_of_the_clip(tmp_path):
    path = written(tmp_path / "table.csv", '"1001_a","N","69.1"', '"1001_b","A:D:N","33.3"')
    assert votes.read_votes(path) == {
        "1001_a": ("neutral",),
        "1001_b": ("angry", "disgust", "neutral"),
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no vote"),
        (TABLE, "holds no vote"),
        ("FileName,FaceVote\na,N\n", "line 2 has no FileName or no VoiceVote"),
        (TABLE + '"1","a",,\n', "line 2 has no FileName or no VoiceVote"),
        (TABLE + '"1","a"\n', "line 2 has no FileName or no VoiceVote"),
        (TABLE + '"1","a","N","1"\n"2","b","X","1"\n', "line 3: 'X' is no vote"),
        (TABLE + '"1","a","N:","1"\n', "line 2: 'N:' is no vote"),
    ],
)
def test_another_table_is_named_with_its_fault(tmp_path, text, fault):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(votes.VotesError) as found:
        votes.read_votes(path)
    assert str(found.value) == f"{path}: {fault}; take summaryTable.csv of the corpus"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_table_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(votes.VotesError, match=r"table.csv: cannot be read \(\w+Error\); take"):
        votes.read_votes(path)


# --- beside the teacher ---------------------------------------------------------------------


@given(seed=st.integers(0, 2**16), heard=st.sets(st.sampled_from("ADFHNS"), min_size=1))
def test_half_of_it_is_the_teachers(seed, heard, tmp_path_factory):
    manifest = manifest_of(tmp_path_factory.getbasetemp(), (votes.CORPUS, "1001_a"))
    scores = scores_of(1, seed)
    emotions = tuple(votes.EMOTIONS[letter] for letter in sorted(heard))
    found = votes.blended(scores, manifest, {"1001_a": emotions})
    assert found.probabilities.sum() == pytest.approx(1)
    said = 2 * found.probabilities[0] - scores.probabilities[0]
    wanted = [label in emotions for label in LABELS]
    np.testing.assert_allclose(said, np.array(wanted) / len(emotions), atol=1e-9)


def test_nobody_else_is_touched(tmp_path):
    """Other corpora, a clip of that name there, one without votes, the teacher's own table."""
    manifest = manifest_of(
        tmp_path, (votes.CORPUS, "1001_a"), ("savee", "1001_a"), (votes.CORPUS, "1001_b")
    )
    scores = scores_of(4)
    before = scores.probabilities.copy()
    found = votes.blended(scores, manifest, {"1001_a": ("sad",), "1001_c": ("fear",)})
    np.testing.assert_array_equal(found.probabilities[1:], before[1:])
    assert found.probabilities[0, LABELS.index("sad")] > 0.5
    np.testing.assert_array_equal(scores.probabilities, before)
    assert (found.digests, found.partition) == (scores.digests, scores.partition)


def test_the_command_writes_a_table_that_training_reads(tmp_path):
    manifest = manifest_of(tmp_path, (votes.CORPUS, "1001_a"), ("ravdess", "03-01"))
    manifest.write(tmp_path / "manifest.csv")
    scores_of(2).write(tmp_path / "scores.csv")
    written(tmp_path / "table.csv", '"1001_a","H:S","50"')
    call = [sys.executable, SCRIPT, "scores.csv", "manifest.csv", "table.csv", "out.csv"]
    subprocess.run(call, cwd=tmp_path, check=True)
    found, given_ = (TeacherScores.read(tmp_path / name) for name in ("out.csv", "scores.csv"))
    assert (found.labels, found.partition) == (given_.labels, given_.partition)
    moved = found.probabilities - given_.probabilities
    assert {LABELS[n] for n in np.flatnonzero(moved[0] > 0)} <= {"happy", "sad"}
    np.testing.assert_allclose(moved[1], 0, atol=1e-6)


def test_a_fault_is_one_line_and_nothing_is_written(tmp_path):
    manifest_of(tmp_path, (votes.CORPUS, "1001_a")).write(tmp_path / "manifest.csv")
    scores_of(1).write(tmp_path / "scores.csv")
    call = [sys.executable, SCRIPT, "scores.csv", "manifest.csv", "table.csv", "out.csv"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "table.csv: cannot be read (FileNotFoundError); take summaryTable.csv of the corpus\n"
    )
    assert not (tmp_path / "out.csv").exists()
