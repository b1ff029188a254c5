"""How fast a voice sounds, as docs/fit_speed.py fits it: its arithmetic, and the numbers' use."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.recording_measures import SPEED
from ser_edge_train.manifest import Clip, Manifest
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
DOCS, CLIPS = ROOT / "docs", ROOT / "examples" / "clips"
fit_speed = load_script(DOCS / "fit_speed.py")

seeds = st.integers(0, 2**32 - 1)
names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n,"), min_size=1, max_size=8)


def rows(seed, count=60, columns=7):
    """Measures of unlike scales, and the octaves that a linear rule would give."""
    random = np.random.default_rng(seed)
    scales, weights = 10.0 ** random.uniform(-2, 2, columns), random.normal(size=columns)
    features = random.normal(size=(count, columns)) * scales + 5 * scales
    return features, features @ (weights / scales) + 0.7


@given(seed=seeds)
def test_the_fit_is_the_ridge_regression_of_standardised_measures(seed):
    """Against least squares with a row of the prior for each weight."""
    features, target = rows(seed)
    target = target + np.random.default_rng(seed + 1).normal(size=len(target))
    mean, scale = features.mean(axis=0), features.std(axis=0)
    prior = np.sqrt(fit_speed.RIDGE) * np.eye(features.shape[1])
    values = np.concatenate([(features - mean) / scale, prior])
    wanted = np.linalg.lstsq(
        values, np.concatenate([target - target.mean(), np.zeros(len(prior))]), rcond=None
    )[0]
    weights, constant = fit_speed.fit(features, target)
    np.testing.assert_allclose(weights * scale, wanted, atol=1e-8)
    np.testing.assert_allclose(
        features @ weights + constant,
        ((features - mean) / scale) @ wanted + target.mean(),
        atol=1e-6,
    )


@given(seed=seeds, factor=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_units_of_a_measure_change_no_guess(seed, factor, shift):
    features, target = rows(seed)
    moved = features.copy()
    moved[:, 2] = factor * moved[:, 2] + shift * moved[:, 2].std()
    plain, other = fit_speed.fit(features, target), fit_speed.fit(moved, target)
    np.testing.assert_allclose(
        features @ plain[0] + plain[1], moved @ other[0] + other[1], atol=1e-5
    )


def test_many_clear_rows_leave_the_rule_that_made_them():
    features, target = rows(3, count=20_000)
    weights, constant = fit_speed.fit(features, target)
    np.testing.assert_allclose(features @ weights + constant, target, atol=1e-3 * np.ptp(target))


@given(corpus=names, speaker=names)
def test_a_speaker_is_in_one_half(corpus, speaker):
    half = fit_speed.half_of((corpus, speaker))
    assert half in (0, 1)
    assert half == fit_speed.half_of((corpus, speaker))


def test_both_halves_have_speakers_of_a_corpus():
    halves = [fit_speed.half_of(("ravdess", f"{number:02}")) for number in range(1, 25)]
    assert 8 <= sum(halves) <= 16


def examples():
    """The recordings of examples/, as a manifest."""
    clips = []
    for path in sorted(CLIPS.glob("*.wav")):
        samples, rate = load_audio(path)
        speaker = path.name.split("_")[0]
        clips.append(
            Clip(
                "crema-d", path.stem, path.name, speaker, "", "angry", "", "", "",
                round(len(samples) / rate, 6), audio_digest(samples, rate), "",
            )
        )  # fmt: skip
    return Manifest(CLIPS, tuple(clips))


def test_what_is_printed_can_be_pasted(tmp_path, capsys):
    """On real voices: the numbers have the form of those in recording_measures.py."""
    examples().write(tmp_path / "manifest.csv")
    fit_speed.main(str(tmp_path / "manifest.csv"), 8)
    printed = capsys.readouterr().out
    assert printed.startswith("8 recordings, 8 speakers, 6 speeds\n")
    told = re.findall(r"^ *([\d.]+) +([\d.]+) % +median guess ([\d.]+)$", printed, re.MULTILINE)
    assert [float(speed) for speed, _, _ in told] == pytest.approx(fit_speed.SPEEDS, abs=0.005)
    assert all(0 <= float(share) <= 100 for _, share, _ in told)
    guesses = [float(guess) for _, _, guess in told]
    assert guesses[-1] > guesses[0], "what is played faster is guessed to be faster"
    (found,) = re.findall(r"Speed\(\s*\(([^)]*)\), (-?[\d.]+)\s*\)", printed)
    assert len(found[0].split(",")) == len(SPEED.weights)
    for name in ("seconds", "peak", "level", "clipped", "snr", "bandwidth", "hum", "held"):
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{name:<10}")]
        values = [float(value) for value in line.split()[1:]]
        assert values == sorted(values)
        assert len(values) == len(fit_speed.SHARES)
