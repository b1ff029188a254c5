"""Copies of recordings: each follows from audio, table, seed and number, and from nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.resampling import resample
from ser_edge_train.augmentation import waveform
from ser_edge_train.augmentation.waveform import Copies
from ser_edge_train.errors import NoNoise
from ser_edge_train.recipes.augmentation import EFFECTS, Waveform

from .recordings import write_wav

RATE = 16_000
AUDIO = "0123456789abcdef" * 4
OTHER_AUDIO = "f" * 64
EVERYTHING = {name: {"probability": 0.5} for name in EFFECTS if name != "recorded_noise"}


def table(**changes: object) -> Waveform:
    return Waveform.model_validate({"copies": 3, **EVERYTHING, **changes})


def only(**effects: object) -> Waveform:
    return Waveform.model_validate({"copies": 3, **effects})


def voice(count: int = 4000, level: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(count)
    return (level * np.sin(np.arange(count) / 11) + 0.01 * rng.normal(size=count)).astype("f4")


# --- what decides ---------------------------------------------------------------------------


def test_a_copy_follows_from_audio_table_seed_and_number():
    def made(audio=AUDIO, seed=7, copy=1, what=None):
        return Copies(what or table(), seed).make(voice(), RATE, audio, copy).tobytes()

    assert made() == made()
    others = [
        made(audio=OTHER_AUDIO), made(seed=8), made(copy=2), made(copy=3),
        made(what=table(noise={"probability": 0.5, "snr_db": [9.0, 30.0]})),
    ]  # fmt: skip
    assert len({made(), *others}) == 6


def test_what_was_made_before_does_not_matter():
    copies = Copies(table(), 1)
    forwards = [copies.make(voice(), RATE, AUDIO, copy).tobytes() for copy in range(1, 9)]
    backwards = [copies.make(voice(), RATE, AUDIO, copy).tobytes() for copy in range(8, 0, -1)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 8


CHILD = """
import hashlib, json, random, sys
import numpy as np
from ser_edge_train.augmentation.waveform import Copies
from ser_edge_train.recipes.augmentation import Waveform
random.seed(int(sys.argv[1])); np.random.seed(int(sys.argv[1]))
copies = Copies(Waveform.model_validate(json.loads(sys.argv[2])), 5)
samples = np.load(sys.argv[3])
order = range(1, 13) if int(sys.argv[1]) % 2 else range(12, 0, -1)
made = {n: copies.make(samples, 16000, sys.argv[4], n) for n in order}
print(json.dumps({n: hashlib.sha256(made[n].tobytes()).hexdigest() for n in sorted(made)}))
"""


def test_every_process_makes_the_same_copies(tmp_path):
    """Other global generators, hash seeds, threads of BLAS and orders, and every effect."""
    write_wav(tmp_path / "noise" / "hum.wav", 5)
    what = table(recorded_noise={"folder": str(tmp_path / "noise")})
    samples = voice(12_000)
    np.save(tmp_path / "samples.npy", samples)
    found = []
    for number, threads in ((1, "1"), (2, "2")):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(number), what.model_dump_json(exclude_none=True),
             str(tmp_path / "samples.npy"), AUDIO],
            capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(number), "OPENBLAS_NUM_THREADS": threads},
        )  # fmt: skip
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 12


def test_a_copy_sent_to_another_process_makes_the_same(tmp_path):
    write_wav(tmp_path / "noise" / "hum.wav", 5)
    copies = Copies(table(recorded_noise={"folder": str(tmp_path / "noise")}), 3)
    sent = pickle.loads(pickle.dumps(copies))
    for copy in range(1, 9):
        one, other = (each.make(voice(), RATE, AUDIO, copy) for each in (copies, sent))
        assert one.tobytes() == other.tobytes()
        assert copies.key(AUDIO, copy) == sent.key(AUDIO, copy)


def test_the_callers_generators_stay_where_they_were():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the generator that the library uses
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002 - as above
    copies = Copies(table(), 1)
    for copy in range(1, 9):
        copies.make(voice(), RATE, AUDIO, copy)
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


# --- keys -----------------------------------------------------------------------------------


def test_a_key_follows_from_all_that_decides_and_from_nothing_else():
    base = Copies(table(), 1).key(AUDIO, 1)
    assert len(base) == 64
    assert int(base, 16) >= 0
    assert Copies(table(copies=9, use="one"), 1).key(AUDIO, 1) == base
    others = {
        Copies(table(), 1).key(AUDIO, 2),
        Copies(table(), 2).key(AUDIO, 1),
        Copies(table(), 1).key(OTHER_AUDIO, 1),
        Copies(table(gain=None), 1).key(AUDIO, 1),
        Copies(table(shift={"probability": 0.5, "share": [-0.1, 0.1]}), 1).key(AUDIO, 1),
    }
    assert len(others | {base}) == 6


def test_a_key_is_this_one():
    """It names files that people keep: what changes it makes them compute all copies anew."""
    key = Copies(only(gain={"db": [-3, 3]}), 1).key(AUDIO, 1)
    assert key == "d209d720b181c5b84e859b2d23f18cf88b3653bb5f50df1aac3fcc2b160dcd0e"


def test_another_version_makes_other_copies(monkeypatch):
    before = Copies(table(), 1).key(AUDIO, 1)
    monkeypatch.setattr(waveform, "VERSION", 2)
    assert Copies(table(), 1).key(AUDIO, 1) != before


def test_whole_numbers_and_fractions_are_one_table():
    one = Copies(only(noise={"snr_db": [5, 20]}), 1)
    other = Copies(only(noise={"snr_db": [5.0, 20.0]}), 1)
    assert one.key(AUDIO, 1) == other.key(AUDIO, 1)


def test_recorded_noise_counts_by_what_is_in_the_folder(tmp_path):
    for name in ("here", "there"):
        write_wav(tmp_path / name / "hum.wav", 5)

    def key(name):
        return Copies(only(recorded_noise={"folder": str(tmp_path / name)}), 1).key(AUDIO, 1)

    assert key("here") == key("there")
    before = key("here")
    write_wav(tmp_path / "here" / "more.wav", 6)
    assert key("here") != before


def test_the_recording_itself_is_no_copy():
    with pytest.raises(ValueError, match="0 is no copy"):
        Copies(table(), 1).key(AUDIO, 0)


# --- which effects --------------------------------------------------------------------------


def test_each_effect_is_done_as_often_as_asked():
    copies = Copies(only(gain={"probability": 0.25}, shift={"probability": 0.75}), 1)
    drawn = [copies._chosen(np.random.default_rng(seed)) for seed in range(2000)]
    # Neither is drawn in 0.75 * 0.25 of the cases; then one of the two is.
    gains, shifts = (sum(name in each for each in drawn) / 2000 for name in ("gain", "shift"))
    assert gains == pytest.approx(0.25 + 0.1875 / 2, abs=0.03)
    assert shifts == pytest.approx(0.75 + 0.1875 / 2, abs=0.03)


def test_no_copy_is_the_recording():
    copies = Copies(only(gain={"probability": 1e-6}, shift={"probability": 1e-6}), 1)
    for copy in range(1, 30):
        assert not np.array_equal(copies.make(voice(), RATE, AUDIO, copy), voice())


def test_effects_are_done_in_one_order(monkeypatch):
    done = []

    def note(name):
        def apply(samples, rate, how, rng):
            done.append(name)
            return samples

        return apply

    monkeypatch.setattr(waveform, "APPLY", {name: note(name) for name in waveform.APPLY})
    everything = {name: {} for name in reversed(EFFECTS) if name != "recorded_noise"}
    Copies(only(**everything), 1).make(voice(), RATE, AUDIO, 1)
    assert done == [name for name in EFFECTS if name != "recorded_noise"]


# --- what no clip may suffer ----------------------------------------------------------------


@settings(max_examples=60)
@given(
    count=st.sampled_from([1, 5, 160, 1600, 7000]),
    level=st.sampled_from([0.0, 1e-6, 0.05, 0.9]),
    copy=st.integers(1, 500),
)
def test_a_copy_is_finite_and_within_full_scale(count, level, copy):
    samples = np.clip(voice(count, level), -1, 1) if level else np.zeros(count, np.float32)
    made = Copies(table(gain={"db": [0, 40]}), 1).make(samples, RATE, AUDIO, copy)
    assert made.dtype == np.float32
    assert len(made) >= 1
    assert np.isfinite(made).all()
    assert np.abs(made).max() <= 1 + 1e-6
    assert not level or count < 100 or np.abs(made).max() > 0


def test_what_passes_full_scale_is_scaled_not_clipped():
    made = Copies(only(gain={"db": [30, 30]}), 1).make(voice(), RATE, AUDIO, 1)
    assert np.abs(made).max() == pytest.approx(1)
    assert np.count_nonzero(np.abs(made) > 0.999) < 5
    np.testing.assert_allclose(made, voice() / np.abs(voice()).max(), rtol=1e-5)


def test_a_recording_above_full_scale_keeps_its_level():
    loud = voice(level=3.0)
    made = Copies(only(shift={"share": [0.5, 0.5]}), 1).make(loud, RATE, AUDIO, 1)
    assert sorted(made) == sorted(loud)


def test_noise_within_a_copy_has_its_snr():
    copies = Copies(only(noise={"snr_db": [12, 12]}), 1)
    for count in (160, 4000):
        clean = voice(count).astype(np.float64)
        noise = copies.make(voice(count), RATE, AUDIO, 1) - clean
        snr = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert snr == pytest.approx(12, abs=0.1)


# --- faults ---------------------------------------------------------------------------------


def test_without_the_library_the_extra_is_named_at_once(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "audiomentations" else found(name)
    )
    with pytest.raises(MissingExtra, match=r"ser-edge\[train\]"):
        Copies(table(), 1)


def test_a_missing_folder_of_noise_is_told_before_any_work(tmp_path: Path):
    with pytest.raises(NoNoise, match="no folder of recorded noise"):
        Copies(only(recorded_noise={"folder": str(tmp_path / "absent")}), 1)


# --- real recordings ------------------------------------------------------------------------


def test_real_recordings_survive_every_effect(corpora: Path):
    """One of each corpus, the quietest of RAVDESS and a clipped one among them."""
    names = (
        "savee/DC/a01.flac",
        "tess/OAF_angry/OAF_bar_angry.opus",
        "ravdess/Actor_20/03-01-02-02-02-02-20.flac",
        "originals/OAF_pad_ps.wav",
    )
    every = {name: {} for name in EFFECTS if name != "recorded_noise"}
    for name in names:
        samples, rate = load_audio(next(corpora.rglob(Path(name).name)))
        samples = resample(samples, rate, RATE)
        for what in (only(**every), *(only(**{effect: {}}) for effect in every)):
            made = Copies(what, 1).make(samples, RATE, AUDIO, 1)
            assert np.isfinite(made).all()
            assert 0 < np.abs(made).max() <= max(1.0, np.abs(samples).max()) + 1e-6
            assert not np.array_equal(made, samples)
            assert len(made) == pytest.approx(len(samples), rel=0.4)
