"""Files of embeddings: found by path or by sound, refused where they do not fit together."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_train.embeddings import Embeddings, EmbeddingsError
from tests.train.recordings import make_clip

VALUES = np.arange(12, dtype=np.int8).reshape(3, 4)


def write(place, **arrays):
    np.savez(place, **arrays)
    return place


def test_recordings_are_found_by_path(tmp_path):
    clips = [make_clip(number) for number in range(4)]
    names = np.array([f"./{clips[2].path}", clips[0].path, "elsewhere/x.wav"])
    found = Embeddings.read(write(tmp_path / "e.npz", path=names, embedding=VALUES))
    assert found.values.dtype == np.float32
    assert found.rows(clips).tolist() == [1, -1, 0, -1]


def test_recordings_are_found_by_sound_whatever_they_are_called(tmp_path):
    clips = [make_clip(number) for number in range(4)]
    names = np.array([clips[3].audio_sha256, clips[1].audio_sha256, "f" * 64])
    found = Embeddings.read(
        write(tmp_path / "e.npz", audio_sha256=names, path=names, embedding=VALUES)
    )
    assert found.by == "audio_sha256"
    assert found.rows(clips).tolist() == [-1, 1, -1, 0]


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"x": VALUES}, "holds x; it needs the arrays embedding and path"),
        ({"path": np.array(["a", "b", "c"])}, "holds path; it needs"),
        ({"embedding": VALUES}, "holds embedding; it needs"),
        ({"path": np.array(["a"]), "embedding": VALUES}, r"shape \(3, 4\) for 1 recordings"),
        ({"path": np.array(["a"] * 12), "embedding": VALUES.ravel()}, "needs a row a recording"),
        ({"path": np.array(["a"] * 3), "embedding": np.full((3, 4), np.inf)}, "no finite numbers"),
        ({"path": np.array(["a"] * 3), "embedding": VALUES.astype(str)}, "no finite numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(tmp_path, arrays, fault):
    path = write(tmp_path / "e.npz", **arrays)
    with pytest.raises(EmbeddingsError, match=fault) as caught:
        Embeddings.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_of_pickled_objects_is_not_opened(tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, path=np.array(["a"]), embedding=np.array([{"x": 1}], dtype=object))
    with pytest.raises(EmbeddingsError, match=r"no \.npz file"):
        Embeddings.read(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"audio_sha256,p_angry\n"])
def test_another_file_is_one_line(tmp_path, content):
    path = tmp_path / "e.npz"
    path.write_bytes(content)
    with pytest.raises(EmbeddingsError, match=r"no \.npz file"):
        Embeddings.read(path)


def test_a_single_array_and_a_missing_file_are_one_line(tmp_path):
    np.save(tmp_path / "e.npy", VALUES)
    with pytest.raises(EmbeddingsError, match="one array alone"):
        Embeddings.read(tmp_path / "e.npy")
    with pytest.raises(EmbeddingsError, match="no such file"):
        Embeddings.read(tmp_path / "none.npz")
