"""The feature store: what it keeps, what it mends, and that processes do not disturb each other."""

from __future__ import annotations

import dataclasses
import multiprocessing
import tracemalloc
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.errors import SerEdgeError, SpecError
from ser_edge_runtime.front_end import Delta, FrontEnd, FrontEndSpec, LogMel, Mfcc
from ser_edge_runtime.resampling import resample
from ser_edge_train import feature_store, frame_file, workers
from ser_edge_train.feature_store import (
    ChangedAudio,
    FeatureStore,
    NotInStore,
    read_clip,
)
from ser_edge_train.manifest import Clip, Manifest

SPEC = FrontEndSpec(sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
                    features=(LogMel(bands=12),), clip_seconds=0.25)  # fmt: skip


def write_wav(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes((samples * 32767).astype("<i2").tobytes())


def speech(number: int, seconds: float = 0.2, rate: int = 8000) -> np.ndarray:
    rng = np.random.default_rng(number)
    time = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * time) + 0.01 * rng.normal(size=len(time))


def clip_of(root: Path, name: str, suffix: str = ".wav") -> Clip:
    samples, rate = load_audio(root / f"{name}{suffix}")
    fields = {
        "corpus": "own", "stem": name, "path": f"{name}{suffix}", "speaker": "s1", "sex": "",
        "emotion": "happy", "intensity": "", "sentence": "", "take": "",
        "seconds": round(len(samples) / rate, 6), "audio_sha256": audio_digest(samples, rate),
        "fault": "",
    }  # fmt: skip
    return Clip(**fields)


@pytest.fixture
def manifest(tmp_path):
    """Five recordings of different lengths; the last at another rate."""
    root = tmp_path / "recordings"
    for number in range(5):
        rate = 11025 if number == 4 else 8000
        write_wav(root / f"c{number}.wav", speech(number, 0.1 + 0.06 * number, rate), rate)
    return Manifest(root, tuple(clip_of(root, f"c{number}") for number in range(5)))


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store", SPEC)


def stored_files(store: FeatureStore) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def test_frames_are_those_of_the_runtimes_front_end(manifest, store):
    assert store.fill(manifest, manifest.clips) == 5
    for clip in manifest.clips:
        samples, rate = load_audio(manifest.path_of(clip))
        expected = FrontEnd(SPEC).frames(resample(samples, rate, 8000))
        frames = store.frames(clip)
        assert frames.dtype == np.float32
        assert np.array_equal(frames, expected)
        assert np.array_equal(store.features(clip), FrontEnd(SPEC)(resample(samples, rate, 8000)))


def test_a_stored_file_is_a_plain_npy(manifest, store):
    store.fill(manifest, manifest.clips)
    clip = manifest.clips[0]
    path = store.path_of(clip)
    assert path.relative_to(store.root).as_posix() == (
        f"{SPEC.frame_digest[:16]}/{clip.audio_sha256[:2]}/{clip.audio_sha256}.npy"
    )
    assert np.array_equal(np.load(path), store.frames(clip))
    assert np.array_equal(np.load(path, mmap_mode="r"), store.frames(clip))


def test_the_same_recordings_give_the_same_bytes_in_any_number_of_processes(manifest, tmp_path):
    one, two = FeatureStore(tmp_path / "one", SPEC), FeatureStore(tmp_path / "two", SPEC)
    one.fill(manifest, manifest.clips, processes=1)
    two.fill(manifest, manifest.clips, processes=2)
    files = [path.relative_to(one.root) for path in stored_files(one)]
    assert files == [path.relative_to(two.root) for path in stored_files(two)]
    assert all((one.root / f).read_bytes() == (two.root / f).read_bytes() for f in files)


def test_nothing_is_computed_twice(manifest, store):
    store.fill(manifest, manifest.clips[:3])
    before = [path.stat().st_mtime_ns for path in stored_files(store)]
    assert store.fill(manifest, manifest.clips[:3]) == 0
    assert [path.stat().st_mtime_ns for path in stored_files(store)] == before
    assert store.fill(manifest, manifest.clips) == 2


def test_equal_audio_is_stored_once(manifest, store):
    twin = dataclasses.replace(manifest.clips[0], stem="twin")
    assert store.fill(manifest, [*manifest.clips, twin]) == 5
    assert np.array_equal(store.frames(twin), store.frames(manifest.clips[0]))


def test_specs_of_one_frame_part_share_what_is_stored(manifest, store):
    store.fill(manifest, manifest.clips)
    kin = dataclasses.replace(SPEC, clip_seconds=0.1, trim_db=30.0, level=0.1, layout="flat")
    assert FeatureStore(store.root, kin).fill(manifest, manifest.clips) == 0
    other = dataclasses.replace(SPEC, hop_length=100)
    assert FeatureStore(store.root, other).fill(manifest, manifest.clips) == 5


def test_progress_counts_stored_clips_at_once(manifest, store):
    store.fill(manifest, manifest.clips[:2])
    calls = []
    store.fill(manifest, manifest.clips, progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (2, 5)
    assert calls[-1] == (5, 5)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"not a feature file at all, but text",
        lambda data: data[:8] + b"\xff" * 40 + data[48:],
        lambda data: data.replace(b"'shape': (", b"'shape': [", 1),
    ],
    ids=["empty", "half", "one byte less", "one byte more", "text", "header", "shape"],
)
def test_a_damaged_file_is_computed_again(manifest, store, damage):
    store.fill(manifest, manifest.clips)
    path = store.path_of(manifest.clips[1])
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert store.fill(manifest, manifest.clips) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("place", [0, 30, 128, -400, -5, -1])
def test_one_flipped_bit_is_found_when_the_file_is_read(manifest, store, place):
    store.fill(manifest, manifest.clips)
    path = store.path_of(manifest.clips[1])
    whole = path.read_bytes()
    frames = store.frames(manifest.clips[1])
    broken = bytearray(whole)
    broken[place] ^= 4
    path.write_bytes(bytes(broken))
    assert np.array_equal(store.frames(manifest.clips[1]), frames)
    assert path.read_bytes() == whole


def test_a_file_of_another_shape_with_a_right_check_is_computed_again(manifest, store):
    store.fill(manifest, manifest.clips)
    path = store.path_of(manifest.clips[0])
    good = store.frames(manifest.clips[0])
    path.write_bytes(frame_file.pack(np.zeros((4, 3), np.float32)))
    assert np.array_equal(store.frames(manifest.clips[0]), good)
    body = path.read_bytes()[:-4].replace(b"<f4", b"<i4")
    path.write_bytes(body + zlib.crc32(body).to_bytes(4, "little"))
    assert np.array_equal(store.frames(manifest.clips[0]), good)


def test_frames_that_nobody_stored_are_an_error_with_a_next_step(manifest, store):
    with pytest.raises(NotInStore, match="own c0 are not stored; fill the store"):
        store.frames(manifest.clips[0])
    store.fill(manifest, manifest.clips)
    fresh = FeatureStore(store.root, SPEC)
    assert len(fresh.frames(manifest.clips[0])) == len(store.frames(manifest.clips[0]))
    fresh.path_of(manifest.clips[0]).unlink()
    with pytest.raises(NotInStore):
        fresh.frames(manifest.clips[0])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_changed_recording_is_named(manifest, store, processes):
    write_wav(manifest.root / "c2.wav", speech(99))
    with pytest.raises(ChangedAudio, match=r"c2\.wav: its audio is not what the manifest says; "):
        store.fill(manifest, manifest.clips, processes=processes)
    write_wav(manifest.root / "c2.wav", speech(2, 0.1 + 0.06 * 2))
    assert store.fill(manifest, manifest.clips, processes=processes) <= 5
    assert len(stored_files(store)) == 5


@pytest.mark.parametrize("processes", [1, 2])
def test_a_missing_recording_is_named(manifest, store, processes):
    (manifest.root / "c3.wav").unlink()
    with pytest.raises(SerEdgeError, match=r"c3\.wav: ") as caught:
        store.fill(manifest, manifest.clips, processes=processes)
    assert "\n" not in str(caught.value)
    assert caught.value.path.endswith("c3.wav")  # the error arrives with its attributes


def test_an_interrupted_fill_loses_nothing(manifest, store, monkeypatch):
    monkeypatch.setattr(workers, "CHUNK", 1)
    monkeypatch.setattr(feature_store, "chunks", lambda items: workers.chunks(items, 1))

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.fill(manifest, manifest.clips, processes=1, progress=stop)
    assert len(stored_files(store)) == 3
    assert store.fill(manifest, manifest.clips) == 2


def fill_in_child(root, recordings, names, barrier):
    manifest = Manifest(Path(recordings), tuple(clip_of(Path(recordings), name) for name in names))
    store = FeatureStore(root, SPEC)
    barrier.wait(60)
    store.fill(manifest, manifest.clips, processes=1)


def test_two_processes_may_fill_at_once(manifest, store):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    names = [clip.stem for clip in manifest.clips]
    arguments = (str(store.root), str(manifest.root), names, barrier)
    children = [context.Process(target=fill_in_child, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    assert store.fill(manifest, manifest.clips) == 0
    assert len(stored_files(store)) == 5


def test_matrix_holds_the_features_in_order(manifest, store, tmp_path):
    store.fill(manifest, manifest.clips)
    clips = [manifest.clips[index] for index in (3, 0, 4, 0)]
    matrix = store.matrix(clips, tmp_path / "deep" / "matrix.npy")
    assert isinstance(matrix, np.memmap)
    assert matrix.dtype == np.float32
    assert matrix.shape == (4, *SPEC.output_shape)
    for row, clip in zip(matrix, clips, strict=True):
        assert np.array_equal(row, store.features(clip))
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0, 0] = 1
    assert np.array_equal(np.load(tmp_path / "deep" / "matrix.npy"), matrix)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["matrix.npy"]


@pytest.mark.parametrize("layout", ["sequence", "flat", "mean"])
def test_matrix_is_the_same_in_any_number_of_processes(manifest, tmp_path, layout):
    spec = dataclasses.replace(SPEC, layout=layout, features=(Mfcc(bands=12, count=5), Delta()))
    store = FeatureStore(tmp_path / "store", spec)
    store.fill(manifest, manifest.clips)
    clips = [manifest.clips[index % 5] for index in range(40)]
    calls = []
    store.matrix(clips, tmp_path / "one.npy", processes=1)
    store.matrix(clips, tmp_path / "two.npy", processes=2, progress=lambda *c: calls.append(c))
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()
    assert calls[-1] == (40, 40)


def test_matrix_mends_what_is_damaged(manifest, store, tmp_path):
    store.fill(manifest, manifest.clips)
    expected = store.features(manifest.clips[2])
    store.path_of(manifest.clips[2]).write_bytes(b"broken")
    matrix = store.matrix(manifest.clips, tmp_path / "m.npy")
    assert np.array_equal(matrix[2], expected)


def test_a_matrix_that_failed_leaves_the_old_one(manifest, store, tmp_path):
    store.fill(manifest, manifest.clips[:2])
    path = tmp_path / "matrices" / "m.npy"
    store.matrix(manifest.clips[:2], path)
    before = path.read_bytes()
    with pytest.raises(NotInStore):
        FeatureStore(store.root, SPEC).matrix(manifest.clips, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["m.npy"]


def test_an_empty_matrix_is_a_matrix(store, tmp_path):
    assert store.matrix([], tmp_path / "m.npy").shape == (0, *SPEC.output_shape)


def test_features_without_a_fixed_length_make_no_matrix(manifest, tmp_path):
    store = FeatureStore(tmp_path / "store", dataclasses.replace(SPEC, clip_seconds=None))
    store.fill(manifest, manifest.clips)
    assert len(store.features(manifest.clips[4])) != len(store.features(manifest.clips[0]))
    with pytest.raises(SpecError, match="no fixed shape"):
        store.matrix(manifest.clips, tmp_path / "m.npy")
    assert not list(tmp_path.glob("*.part"))


def test_matrix_memory_does_not_grow_with_the_clips(manifest, store, tmp_path):
    store.fill(manifest, manifest.clips)

    def peak(count):
        clips = [manifest.clips[index % 5] for index in range(count)]
        tracemalloc.start()
        store.matrix(clips, tmp_path / "m.npy", processes=1)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(20)
    few, many = peak(20), peak(2000)
    row = 4 * int(np.prod(SPEC.output_shape))
    assert many - few < 0.25 * 2000 * row


def test_read_clip_proves_what_it_reads(manifest):
    samples, rate = read_clip(manifest.root, manifest.clips[0])
    assert rate == 8000
    assert audio_digest(samples, rate) == manifest.clips[0].audio_sha256
    changed = dataclasses.replace(manifest.clips[0], audio_sha256="0" * 64)
    with pytest.raises(ChangedAudio):
        read_clip(manifest.root, changed)


def test_real_recordings_go_through_the_store(corpora, tmp_path):
    root = corpora / "savee"
    names = sorted((root / "DC").glob("*.flac"))[:3]
    clips = [clip_of(root, f"DC/{path.stem}", ".flac") for path in names]
    manifest = Manifest(root, tuple(clips))
    store = FeatureStore(tmp_path / "store", FrontEndSpec())
    assert store.fill(manifest, manifest.clips) == 3
    matrix = store.matrix(manifest.clips, tmp_path / "m.npy")
    assert matrix.shape == (3, 301, 64)
    assert np.isfinite(matrix).all()
    assert matrix.std() > 1
