"""Teachers, hints and encoders' values of other recordings, and files of them that are none."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.embeddings import Embeddings, EmbeddingsError
from ser_edge_train.errors import quoted
from ser_edge_train.plan import make_plan
from ser_edge_train.teacher_scores import TeacherError
from ser_edge_train.training import train

from .recordings import make_clip
from .test_teacher_scores import manifest, scores_of, taught
from .toys import toy_recipe

RECORDINGS = manifest()
PLAN = make_plan(toy_recipe(), RECORDINGS)
STRANGERS = {
    "other recordings": [make_clip(900), make_clip(901)],
    "those that validate": PLAN.clips("validation"),
    "those that test": PLAN.clips("test"),
}
KNOWS_NONE = "knows none of the training recordings"


# --- a teacher's scores ---------------------------------------------------------------------


@pytest.mark.parametrize("whose", STRANGERS)
def test_scores_of_no_training_recording_are_to_be_made_of_these(tmp_path, whose):
    path = tmp_path / "scores.csv"
    scores_of(STRANGERS[whose], PLAN.partition.digest).write(path)
    before = path.read_bytes()
    says = f"{path}: {KNOWS_NONE}; make scores of these recordings"
    with pytest.raises(TeacherError) as caught:
        make_plan(taught(path), RECORDINGS)
    assert str(caught.value) == says
    assert caught.value.line is None
    # A training says it before it makes a folder.
    with pytest.raises(TeacherError) as again:
        train(taught(path), RECORDINGS, tmp_path / "run", store_root=tmp_path / "store")
    assert str(again.value) == says
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.csv"]
    assert path.read_bytes() == before


def test_scores_of_one_training_recording_are_enough(tmp_path):
    path = tmp_path / "scores.csv"
    clips = [*STRANGERS["those that test"], PLAN.clips("train")[-1]]
    scores_of(clips, PLAN.partition.digest).write(path)
    notes = list(make_plan(taught(path), RECORDINGS).notes())
    known = f"1 of {len(PLAN.clips('train'))} training clips"
    assert any(note.startswith("teacher: ") and known in note for note in notes)


# --- the embeddings of a hint ---------------------------------------------------------------


def encoded(path, clips, by="path", width=4):
    """A file of embeddings of ``clips``."""
    names = [getattr(clip, by) for clip in clips]
    values = np.random.default_rng(1).normal(size=(len(clips), width)).astype(np.float32)
    np.savez(path, **{by: np.array(names), "embedding": values})
    return path


def hinted(folder, clips, by="path"):
    """A recipe whose teacher knows everybody, and its hint ``clips`` alone."""
    scores_of(RECORDINGS.clips, PLAN.partition.digest).write(folder / "scores.csv")
    path = encoded(folder / "encoder.npz", clips, by)
    return taught(folder / "scores.csv", hint={"embeddings": str(path), "components": 4})


@pytest.mark.parametrize("by", ["path", "audio_sha256"])
@pytest.mark.parametrize("whose", STRANGERS)
def test_embeddings_of_no_training_recording_are_to_be_made_of_these(tmp_path, whose, by):
    recipe = hinted(tmp_path, STRANGERS[whose], by)
    path = tmp_path / "encoder.npz"
    before = path.read_bytes()
    says = f"{path}: {KNOWS_NONE}; make embeddings of these recordings"
    with pytest.raises(EmbeddingsError) as caught:
        make_plan(recipe, RECORDINGS)
    assert str(caught.value) == says
    with pytest.raises(EmbeddingsError) as again:
        train(recipe, RECORDINGS, tmp_path / "run", store_root=tmp_path / "store")
    assert str(again.value) == says
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["encoder.npz", "scores.csv"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("by", ["path", "audio_sha256"])
def test_embeddings_of_one_training_recording_are_enough(tmp_path, by):
    clips = [*STRANGERS["those that test"], PLAN.clips("train")[0]]
    notes = list(make_plan(hinted(tmp_path, clips, by), RECORDINGS).notes())
    known = f"1 of {len(PLAN.clips('train'))} training clips"
    assert any(note.startswith("hint: 4 values") and known in note for note in notes)


# --- files that are none --------------------------------------------------------------------


def content_of(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


GOOD = content_of(path=np.array(["a.wav", "b.wav"]), embedding=np.eye(2, dtype=np.float32))


def refused(path):
    with pytest.raises(EmbeddingsError) as caught:
        Embeddings.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "content", [b"", b"path,embedding\n", b"PK\x05\x06", GOOD[: len(GOOD) // 2], GOOD[1:]]
)
def test_a_file_that_is_no_npz_is_to_be_made_anew(tmp_path, content):
    path = tmp_path / "encoder.npz"
    path.write_bytes(content)
    # Between the brackets are numpy's words, of which there are always some.
    assert re.fullmatch(r"no \.npz file \(.+\); make it anew", refused(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["embedding"], "embedding"),
        (["path", "values"], "path, values"),
        (["a\nb", "\x1b[31m"], r"'\x1b[31m', 'a\nb'"),
        (["n" * 300], quoted("n" * 300)),
        ([f"array_{n:04}" for n in range(3000)],
         ", ".join(f"array_{n:04}" for n in range(8)) + ", 2992 others"),
    ],
    ids=["lacks a name", "lacks values", "odd names", "a long name", "many"],
)  # fmt: skip
def test_of_other_arrays_some_names_are_shown(tmp_path, names, shown):
    path = tmp_path / "encoder.npz"
    path.write_bytes(content_of(**dict.fromkeys(names, np.zeros(1))))
    said = refused(path)
    assert said == f"holds {shown}; it needs the arrays embedding and path (or audio_sha256)"
    assert said.isprintable()


def test_what_numpy_says_of_a_member_is_shown_without_its_escapes(tmp_path):
    path = tmp_path / "encoder.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\x1b[31mred\n.npy", b"no array")
    said = refused(path)
    assert re.fullmatch(r"no \.npz file \(.+\); make it anew", said)
    assert said.isprintable()


def test_a_folder_is_no_npz_and_a_single_array_neither(tmp_path):
    assert re.fullmatch(r"no \.npz file \(.+\); make it anew", refused(tmp_path))
    np.save(tmp_path / "e.npy", np.eye(2))
    assert refused(tmp_path / "e.npy") == "no .npz file (one array alone); make it anew"


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_anywhere_is_to_be_made_anew(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "encoder.npz"
    path.write_bytes(GOOD[:length])
    assert re.fullmatch(r"no \.npz file \(.+\); make it anew", refused(path))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4))
def test_a_file_changed_anywhere_is_read_or_refused_by_name(tmp_path_factory, changes):
    content = bytearray(GOOD)
    for place, value in changes:
        content[place] = value
    path = tmp_path_factory.mktemp("changed") / "encoder.npz"
    path.write_bytes(content)
    message, known = "", None
    try:
        known = Embeddings.read(path)
    except EmbeddingsError as fault:
        message = str(fault)
    if known is None:
        assert re.match(re.escape(f"{path}: ") + ".+; .+", message)
    else:
        assert len(known.values) == len(known.names)
        assert np.isfinite(known.values).all()
