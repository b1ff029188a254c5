"""Copies in the feature store: names, resumption, damage, processes, and the matrix."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, LogMel
from ser_edge_runtime.resampling import resample
from ser_edge_train import feature_store, workers
from ser_edge_train.augmentation.waveform import Copies
from ser_edge_train.errors import NoNoise
from ser_edge_train.feature_store import ChangedAudio, FeatureStore, NotInStore
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.recipes.augmentation import Waveform

from .recordings import make_clip, write_wav

SPEC = FrontEndSpec(sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
                    features=(LogMel(bands=12),), clip_seconds=0.25)  # fmt: skip
SEED = 4


def table(copies: int = 2, **effects: object) -> Waveform:
    effects = effects or {"noise": {}, "speed": {}, "gain": {"probability": 0.5}}
    return Waveform.model_validate({"copies": copies, **effects})


@pytest.fixture
def manifest(tmp_path):
    """Three recordings at 16 kHz."""
    clips = []
    for number in range(3):
        path = write_wav(tmp_path / "recordings" / f"c{number}.wav", number)
        samples, rate = load_audio(path)
        digest = audio_digest(samples, rate)
        clips.append(make_clip(number, stem=f"c{number}", path=path.name, audio_sha256=digest))
    return Manifest(tmp_path / "recordings", tuple(clips))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def store_at(root: Path, what: Waveform | None = None, seed: int = SEED) -> FeatureStore:
    return FeatureStore(root, SPEC, waveform=what or table(), seed=seed)


def rows_of(manifest: Manifest, copies: int = 2) -> list[tuple[Clip, int]]:
    return [(clip, copy) for clip in manifest.clips for copy in range(copies + 1)]


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_frames_of_a_copy_are_those_of_the_changed_samples(manifest, root):
    store = store_at(root)
    assert store.fill(manifest, rows_of(manifest)) == 9
    copies = Copies(table(), SEED)
    for clip, copy in rows_of(manifest):
        samples, rate = load_audio(manifest.path_of(clip))
        samples = resample(samples, rate, 8000)
        if copy:
            samples = copies.make(samples, 8000, clip.audio_sha256, copy)
        assert np.array_equal(store.frames((clip, copy)), FrontEnd(SPEC).frames(samples))
    assert len(files(root)) == 9


def test_copy_0_is_the_recording_and_shares_its_file(manifest, root):
    FeatureStore(root, SPEC).fill(manifest, manifest.clips)
    store = store_at(root)
    clip = manifest.clips[0]
    assert store.path_of((clip, 0)) == store.path_of(clip) == FeatureStore(root, SPEC).path_of(clip)
    assert store.fill(manifest, rows_of(manifest, 0)) == 0
    assert store.fill(manifest, [*manifest.clips, *rows_of(manifest, 0)]) == 0


def test_a_copy_is_kept_under_the_digest_of_what_decides_it(manifest, root):
    clip = manifest.clips[0]
    key = Copies(table(), SEED).key(clip.audio_sha256, 2)
    path = store_at(root).path_of((clip, 2))
    assert path == root / SPEC.frame_digest[:16] / key[:2] / f"{key}.npy"


def test_more_copies_and_the_other_use_find_what_is_there(manifest, root):
    store_at(root).fill(manifest, rows_of(manifest))
    more = table(4).model_copy(update={"use": "one"})
    assert store_at(root, more).fill(manifest, rows_of(manifest, 4)) == 6


def test_another_seed_or_table_makes_others(manifest, root):
    store_at(root).fill(manifest, rows_of(manifest))
    assert store_at(root, seed=5).fill(manifest, rows_of(manifest)) == 6
    assert store_at(root, table(noise={})).fill(manifest, rows_of(manifest)) == 6


def test_equal_audio_has_equal_copies_once(manifest, root):
    twin = dataclasses.replace(manifest.clips[0], stem="twin")
    store = store_at(root)
    assert store.fill(manifest, [*rows_of(manifest), (twin, 1), (twin, 2)]) == 9
    assert np.array_equal(store.frames((twin, 1)), store.frames((manifest.clips[0], 1)))


def test_a_recording_is_read_once_for_all_its_copies(manifest, root, monkeypatch):
    read = []

    def note(folder, clip):
        read.append(clip.stem)
        return read_clip(folder, clip)

    read_clip = feature_store.read_clip
    monkeypatch.setattr(feature_store, "read_clip", note)
    store_at(root).fill(manifest, rows_of(manifest), processes=1)
    assert read == ["c0", "c1", "c2"]


def test_any_number_of_processes_gives_the_same_bytes(manifest, tmp_path):
    write_wav(tmp_path / "noise" / "hum.wav", 9)
    what = table(
        stretch={}, pitch={}, reverb={}, codec={"probability": 0.5}, band_limit={},
        recorded_noise={"folder": str(tmp_path / "noise")},
    )  # fmt: skip
    one, two = store_at(tmp_path / "one", what), store_at(tmp_path / "two", what)
    one.fill(manifest, rows_of(manifest), processes=1)
    two.fill(manifest, rows_of(manifest), processes=2)
    assert len(files(one.root)) == 9
    assert files(one.root) == files(two.root)


def test_a_stopped_fill_goes_on_where_it_was(manifest, root, monkeypatch, tmp_path):
    monkeypatch.setattr(feature_store, "chunks", lambda items: workers.chunks(items, 1))

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_at(root).fill(manifest, rows_of(manifest), processes=1, progress=stop)
    assert len(files(root)) == 4
    calls = []
    store_at(root).fill(manifest, rows_of(manifest), progress=lambda *call: calls.append(call))
    assert calls[0] == (4, 9)
    assert calls[-1] == (9, 9)
    whole = store_at(tmp_path / "whole")
    whole.fill(manifest, rows_of(manifest))
    assert files(root) == files(whole.root)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:-1] + b"\0\0"])
def test_a_damaged_copy_is_made_again(manifest, root, damage):
    store = store_at(root)
    store.fill(manifest, rows_of(manifest))
    path = store.path_of((manifest.clips[1], 1))
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert store.fill(manifest, rows_of(manifest)) == 1
    assert path.read_bytes() == good


def test_a_flipped_bit_is_found_when_a_copy_is_read(manifest, root):
    store = store_at(root)
    store.fill(manifest, rows_of(manifest))
    path = store.path_of((manifest.clips[1], 1))
    good = path.read_bytes()
    path.write_bytes(good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    store.frames((manifest.clips[1], 1))
    assert path.read_bytes() == good


@pytest.mark.parametrize("processes", [1, 2])
def test_matrix_takes_clips_and_copies(manifest, root, tmp_path, processes):
    store = store_at(root)
    rows = [*rows_of(manifest), manifest.clips[2], (manifest.clips[0], 2)]
    store.fill(manifest, rows)
    matrix = store.matrix(rows * 4, tmp_path / "m.npy", processes)
    assert matrix.shape == (44, *SPEC.output_shape)
    for index, row in enumerate(rows * 4):
        assert np.array_equal(matrix[index], store.features(row))
    assert len({matrix[index].tobytes() for index in range(9)}) == 9


def test_a_copy_of_a_changed_recording_is_refused(manifest, root):
    write_wav(manifest.root / "c1.wav", 77)
    with pytest.raises(ChangedAudio, match=r"c1\.wav"):
        store_at(root).fill(manifest, rows_of(manifest))


def test_a_copy_that_nobody_stored_names_its_clip(manifest, root):
    with pytest.raises(NotInStore, match="own c0 are not stored; fill the store"):
        store_at(root).frames((manifest.clips[0], 1))


def test_a_store_without_a_table_has_no_copies(manifest, root):
    with pytest.raises(ValueError, match="own c0: a copy needs the table of its effects"):
        FeatureStore(root, SPEC).fill(manifest, rows_of(manifest))


def test_faults_are_told_before_any_work(manifest, root, tmp_path, monkeypatch):
    with pytest.raises(NoNoise):
        store_at(root, table(recorded_noise={"folder": str(tmp_path / "absent")}))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra):
        store_at(root)
    assert FeatureStore(root, SPEC).fill(manifest, manifest.clips) == 3
