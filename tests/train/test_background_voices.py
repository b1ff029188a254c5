"""Voices behind copies: the sum's power, who talks, how loud, and that nothing else decides."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec
from ser_edge_runtime.front_end.kinds import LogMel
from ser_edge_train.augmentation.effects import add_at_snr
from ser_edge_train.augmentation.voices import Background
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.recipes.augmentation import Voices, Waveform
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.training import train

from .recordings import RATE, make_clip, write_wav
from .toys import Listener, toy_recipe

WIDTH = 5
TWO = Voices(number=(2, 2), snr_db=(10.0, 10.0))
COPY = {"copies": 2, "use": "one", "gain": {"db": [-3.0, 3.0]}}


def clip_of(speaker: int, number: int = 0) -> Clip:
    return make_clip(10 * speaker + number, speaker=f"s{speaker}")


CLIPS = [clip_of(speaker, number) for speaker in range(8) for number in range(3)]


def frames_of(clip: Clip, length: int = 30) -> np.ndarray:
    """Frames that tell their clip; column 0 is the mean square."""
    rng = np.random.default_rng(int(clip.audio_sha256, 16))
    return rng.uniform(0.5, 1.5, (length, WIDTH)).astype(np.float32) * rng.uniform(0.1, 10)


class Reader:
    """Gives frames, and notes whose."""

    def __init__(self, length: int = 30) -> None:
        self.read: list[Clip] = []
        self.length = length

    def __call__(self, clip: Clip) -> np.ndarray:
        self.read.append(clip)
        return frames_of(clip, self.length)


def added(background: Background, clip: Clip = CLIPS[0], copy: int = 1, length: int = 30):
    """What was added to a clip's frames, and whose clips were read for it."""
    reader = Reader(length)
    before = frames_of(clip, 40)
    kept = before.copy()
    after = background.add(before, clip, copy, reader)
    np.testing.assert_array_equal(before, kept)
    assert after.shape == before.shape
    assert after.dtype == np.float32
    return after.astype(np.float64) - before, reader.read


# --- how loud, and who ------------------------------------------------------------------------


@given(snr_db=st.floats(-20, 40), number=st.integers(1, 6), copy=st.integers(1, 9))
def test_the_ratio_is_met_over_the_whole_clip(snr_db, number, copy):
    how = Voices(number=(number, number), snr_db=(snr_db, snr_db))
    noise, _ = added(Background.of(how, 1, CLIPS), copy=copy)
    power = frames_of(CLIPS[0], 40)[:, 0].mean()
    assert 10 * np.log10(power / noise[:, 0].mean()) == pytest.approx(snr_db, abs=0.02)


@given(seed=st.integers(0, 2**32 - 1), copy=st.integers(1, 99), speaker=st.integers(0, 7))
def test_so_many_others_talk_as_were_asked_for_and_never_the_speaker(seed, copy, speaker):
    how = Voices(number=(2, 4))
    _, read = added(Background.of(how, seed, CLIPS), clip_of(speaker), copy)
    talking = [clip.speaker for clip in read]
    assert 2 <= len(talking) <= 4
    assert len(set(talking)) == len(talking)
    assert f"s{speaker}" not in talking


def test_every_number_and_every_voice_comes_up():
    background = Background.of(Voices(number=(1, 3)), 1, CLIPS)
    heard = [added(background, copy=copy)[1] for copy in range(1, 200)]
    assert {len(read) for read in heard} == {1, 2, 3}
    assert {clip.key for read in heard for clip in read} == {clip.key for clip in CLIPS[3:]}


def test_each_voice_is_as_loud_as_the_next():
    """Frames of one column each, so that the sum can be taken apart."""
    shares = {f"s{speaker}": speaker for speaker in range(1, 4)}

    def read(clip: Clip) -> np.ndarray:
        frames = np.zeros((7, 4), np.float32)
        frames[:, [0, shares[clip.speaker]]] = 10.0 ** shares[clip.speaker]
        return frames

    clips = [clip_of(speaker) for speaker in range(4)]
    how = Voices(number=(3, 3), snr_db=(0.0, 0.0))
    frames = np.zeros((20, 4), np.float32)
    frames[:, 0] = 6.0
    after = Background.of(how, 1, clips).add(frames, clips[0], 1, read)
    np.testing.assert_allclose(after[:, 0], 12.0, rtol=1e-6)
    np.testing.assert_allclose(after[:, 1:], 2.0, rtol=1e-6)


def test_a_voice_begins_anywhere_and_starts_over():
    def read(clip: Clip) -> np.ndarray:
        return np.arange(1, 6, dtype=np.float32)[:, None].repeat(WIDTH, axis=1)

    starts = set()
    clips = [clip_of(0), clip_of(1)]
    for copy in range(1, 60):
        how = Voices(number=(1, 1), snr_db=(0.0, 0.0))
        frames = np.ones((12, WIDTH), np.float32)
        noise = Background.of(how, 1, clips).add(frames, clips[0], copy, read)[:, 0] - 1
        places = np.rint(noise / noise.min()).astype(int)
        assert list(places[:11] % 5 + 1) == list(places[1:])
        starts.add(int(places[0]))
    assert starts == {1, 2, 3, 4, 5}


def test_the_share_of_copies_is_the_probability():
    background = Background.of(Voices(probability=0.3), 1, CLIPS)
    noisy = [bool(added(background, copy=copy)[1]) for copy in range(1, 1001)]
    assert np.mean(noisy) == pytest.approx(0.3, abs=0.05)


# --- what decides, and what does not ----------------------------------------------------------


def test_the_order_of_the_clips_decides_nothing():
    one, other = Background.of(TWO, 1, CLIPS), Background.of(TWO, 1, CLIPS[::-1])
    assert one == other
    np.testing.assert_array_equal(added(one)[0], added(other)[0])


def test_seed_number_clip_table_and_who_is_there_all_decide():
    noise = [
        added(Background.of(TWO, 1, CLIPS))[0],
        added(Background.of(TWO, 2, CLIPS))[0],
        added(Background.of(TWO, 1, CLIPS), copy=2)[0],
        added(Background.of(TWO, 1, CLIPS), CLIPS[1])[0],
        added(Background.of(TWO.model_copy(update={"snr_db": (10.0, 11.0)}), 1, CLIPS))[0],
        added(Background.of(TWO, 1, CLIPS[:9]))[0],
    ]
    for number, one in enumerate(noise):
        for other in noise[:number]:
            assert not np.array_equal(one, other)


def test_another_process_does_the_same():
    background = Background.of(TWO, 1, CLIPS)
    sent = pickle.loads(pickle.dumps(background))
    np.testing.assert_array_equal(added(background)[0], added(sent)[0])


# --- where nothing can be added ---------------------------------------------------------------


def test_alone_nobody_talks_behind():
    noise, read = added(Background.of(TWO, 1, CLIPS[:3]))
    assert not read
    assert not noise.any()


def test_fewer_speakers_than_asked_for_talk_all():
    _, read = added(Background.of(Voices(number=(6, 6)), 1, CLIPS[:9]))
    assert sorted(clip.speaker for clip in read) == ["s1", "s2"]


@pytest.mark.parametrize("length", [0, 12])
def test_silence_stays_silence(length):
    frames = np.zeros((length, WIDTH), np.float32)
    after = Background.of(TWO, 1, CLIPS).add(frames, CLIPS[0], 1, Reader())
    np.testing.assert_array_equal(after, frames)


@pytest.mark.parametrize("length", [0, 9])
def test_silent_voices_add_nothing(length):
    def read(clip: Clip) -> np.ndarray:
        return np.zeros((length, WIDTH), np.float32)

    frames = frames_of(CLIPS[0])
    after = Background.of(TWO, 1, CLIPS).add(frames, CLIPS[0], 1, read)
    np.testing.assert_array_equal(after, frames)


# --- beside the sum of the waveforms ----------------------------------------------------------


def sound(seed: int, seconds: float = 4.0) -> np.ndarray:
    """Noise in bursts, in a band of its own: what two speakers are to each other."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    loud = 0.05 + np.abs(np.sin(2 * np.pi * (2 + seed) * time + seed))
    return (0.1 * loud * rng.standard_normal(len(time))).astype(np.float32)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), snr_db=st.floats(0, 20))
def test_powers_add_as_the_sounds_do(seed, snr_db):
    """The product of two sounds averages out: over the frames of a band, and over the bands."""
    front_end = FrontEnd(FrontEndSpec(features=(LogMel(bands=16),), clip_seconds=4.0))
    speech, voice = sound(2 * seed), sound(2 * seed + 1)
    clips = [clip_of(0), clip_of(1)]
    how = Voices(number=(1, 1), snr_db=(snr_db, snr_db))

    class Unmoved(Background):
        def _generator(self, clip: Clip, copy: int) -> np.random.Generator:
            generator = super()._generator(clip, copy)
            return _Start(generator)

    background = Unmoved(how, 1, Background.of(how, 1, clips).speakers)
    together = front_end.frames(add_at_snr(speech, voice, snr_db))
    ours = background.add(front_end.frames(speech), clips[0], 1, lambda _: front_end.frames(voice))
    apart = 10 * np.abs(np.log10(ours[:, 1:] / together[:, 1:]))
    assert np.median(apart) < 1.0
    over_time = 10 * np.log10(ours.mean(axis=0) / together.mean(axis=0))
    assert np.abs(over_time).max() < 1.5
    assert abs(over_time.mean()) < 0.3


class _Start:
    """A generator that begins every voice at its first frame."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def __getattr__(self, name: str):
        return getattr(self._generator, name)

    def integers(self, low: int, high: int | None = None) -> int:
        return low if high is not None else 0


# --- in the store and in a training -----------------------------------------------------------


@pytest.fixture
def manifest(tmp_path):
    """Ten speakers with three recordings of each class."""
    clips = []
    for speaker in range(10):
        for number in range(9):
            emotion = ("angry", "happy", "sad")[number % 3]
            name = f"s{speaker}-{number}"
            path = write_wav(tmp_path / "recordings" / f"{name}.wav", 100 * speaker + number)
            samples, rate = load_audio(path)
            clips.append(
                make_clip(10 * speaker + number, stem=name, path=path.name, emotion=emotion,
                          speaker=f"s{speaker}", audio_sha256=audio_digest(samples, rate))
            )  # fmt: skip
    return Manifest(tmp_path / "recordings", tuple(clips))


def test_a_matrix_has_voices_behind_its_copies_alone(manifest, tmp_path):
    spec = toy_recipe().spec
    store = FeatureStore(tmp_path / "store", spec, Waveform.model_validate(COPY), 3)
    rows = [(clip, copy) for clip in manifest.clips[:30] for copy in range(3)]
    store.fill(manifest, rows, 1)
    background = Background.of(TWO, 3, manifest.clips)
    plain = np.array(store.matrix(rows, tmp_path / "plain.npy", 1))
    noisy = np.array(store.matrix(rows, tmp_path / "noisy.npy", 1, behind=background))
    many = np.array(store.matrix(rows, tmp_path / "many.npy", 2, behind=background))
    np.testing.assert_array_equal(noisy, many)
    changed = (plain != noisy).any(axis=(1, 2))
    assert list(changed) == [copy > 0 for _, copy in rows]
    clip, copy = rows[4]
    frames = background.add(store.frames((clip, copy)), clip, copy, store.frames)
    np.testing.assert_array_equal(noisy[4], FrontEnd(spec).clip(frames))


def test_a_training_takes_its_voices_from_the_training_part_alone(manifest, tmp_path, monkeypatch):
    seen: list[tuple[Background, Path]] = []
    matrix = FeatureStore.matrix

    def watched(self, clips, path, processes=None, progress=None, behind=None):
        seen.append((behind, Path(path)))
        return matrix(self, clips, path, processes, progress, behind)

    monkeypatch.setattr(FeatureStore, "matrix", watched)
    recipe = toy_recipe(
        augmentation__waveform=COPY, augmentation__voices={"number": [1, 2]}, fit__epochs=1
    )
    train(recipe, manifest, RunDirectory(tmp_path / "run"), store_root=tmp_path / "store",
          processes=1, progress=Listener())  # fmt: skip
    behind = {path.stem: background for background, path in seen}
    assert behind["validation"] is None
    from ser_edge_train.partitions import Partition

    partition = Partition.read(tmp_path / "run" / "partition.csv")
    training = {clip.speaker_key for clip in partition.clips(manifest, "train")}
    assert {key for key, _ in behind["train"].speakers} == training
    others = {clip.speaker_key for clip in manifest.clips} - training
    assert others
    assert behind["train"].seed == recipe.seed
    assert behind["train"].how == recipe.augmentation.voices
