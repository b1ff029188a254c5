"""The normaliser: its fit, its arithmetic, its JSON."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ser_edge_runtime.errors import SpecError
from ser_edge_runtime.front_end import Chroma, FrontEnd, FrontEndSpec, Normaliser

from ...signals import noise

floats = st.floats(-1000, 1000, width=32, allow_subnormal=False)


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=floats))
def test_fit_is_mean_and_standard_deviation(rows: np.ndarray) -> None:
    fitted = Normaliser.fit([rows])
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(fitted.mean, exact.mean(axis=0), rtol=1e-5, atol=1e-4)
    spread = exact.std(axis=0)
    varies = spread > 1e-3
    np.testing.assert_allclose(fitted.scale[varies], spread[varies], rtol=1e-4)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_batches_do_not_matter(sizes: list[int]) -> None:
    rows = noise(sum(sizes) * 4 + 8).reshape(-1, 4) * 7 + 50
    cuts = np.cumsum(sizes)
    whole, parts = Normaliser.fit([rows]), Normaliser.fit(np.split(rows, cuts))
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-5)


def test_fit_takes_sequences_over_frames_and_utterances() -> None:
    batch = noise(2 * 5 * 3).reshape(2, 5, 3)
    assert Normaliser.fit([batch]) == Normaliser.fit([batch.reshape(10, 3)])


def test_normalised_training_features_have_mean_0_and_deviation_1() -> None:
    rows = noise(4000).reshape(-1, 4) * 13 - 40
    out = Normaliser.fit([rows])(rows)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-4)


def test_a_constant_feature_is_only_centred() -> None:
    rows = np.full((100, 2), -80.3, np.float32)
    fitted = Normaliser.fit([rows])
    assert fitted.scale.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(fitted(rows), 0, atol=1e-5)


@pytest.mark.parametrize("batches", [[], [np.zeros((0, 3), np.float32)]])
def test_nothing_to_fit_on(batches: list[np.ndarray]) -> None:
    with pytest.raises(SpecError, match="training part empty"):
        Normaliser.fit(batches)


@given(
    hnp.arrays(
        np.float32, 4, elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
    ),
    hnp.arrays(
        np.float32, 4, elements=st.floats(2.0**-100, 2.0**100, width=32, allow_subnormal=False)
    ),
)
def test_json_is_exact(mean: np.ndarray, scale: np.ndarray) -> None:
    normaliser = Normaliser(mean, scale)
    again = Normaliser.from_json(normaliser.to_json())
    assert again == normaliser
    assert hash(again) == hash(normaliser)
    assert again.mean.tobytes() == mean.tobytes()


def test_it_cannot_be_changed() -> None:
    mean = np.zeros(2, np.float32)
    normaliser = Normaliser(mean, np.ones(2, np.float32))
    mean[0] = 5
    assert normaliser.mean[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        normaliser.mean[0] = 1


def test_different_ones_differ() -> None:
    one = Normaliser.identity(3)
    assert one != Normaliser.identity(4)
    assert one != Normaliser(np.zeros(3, np.float32), np.full(3, 2, np.float32))
    assert one != "normaliser"


@pytest.mark.parametrize(
    ("mean", "scale"),
    [
        ([0.0], [1.0, 1.0]),
        ([], []),
        ([[0.0]], [[1.0]]),
        ([0.0], [0.0]),
        ([0.0], [-1.0]),
        ([float("nan")], [1.0]),
        ([0.0], [float("inf")]),
    ],
)
def test_impossible_ones_are_refused(mean: list[float], scale: list[float]) -> None:
    with pytest.raises(SpecError, match="normaliser"):
        Normaliser(np.array(mean, np.float32), np.array(scale, np.float32))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"mean":[0]}', '{"mean":[0],"scale":["x"]}', '{"mean":{},"scale":[1]}',
     '{"mean":[0],"scale":[1],"more":0}', '{"mean":[[0],[0,1]],"scale":[1]}', "[" * 100_000,
     '{"mean":null,"scale":null}', '{"mean":["0"],"scale":["1"]}', '{"mean":[true],"scale":[1]}',
     '{"mean":[1e300],"scale":[1]}', '{"mean":[1' + "0" * 400 + '],"scale":[1]}',
     '{"mean":[1e999],"scale":[1]}'],
)  # fmt: skip
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="normaliser"):
        Normaliser.from_json(text)


def test_limits_of_floats_are_not_asked_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It warns where a library (tflite-runtime on arm64) has subnormals flushed to zero."""
    silence, voice = np.zeros(4000, np.float32), noise(4000)
    chroma = FrontEnd(FrontEndSpec(features=(Chroma(),), clip_seconds=None))
    expected = chroma(voice)

    def ask(dtype: object) -> None:
        raise AssertionError(f"finfo({dtype})")

    monkeypatch.setattr(np, "finfo", ask)
    text = Normaliser.identity(3).to_json()
    assert Normaliser.from_json(text) == Normaliser.identity(3)
    np.testing.assert_array_equal(chroma(voice), expected)
    np.testing.assert_array_equal(chroma(silence), 0)


@pytest.mark.parametrize("value", [3.5e38, -3.5e38, 1e308])
def test_values_beyond_float32_are_refused(value: float) -> None:
    text = Normaliser.identity(1).to_json().replace("0.0", repr(value), 1)
    with pytest.raises(SpecError, match="finite"):
        Normaliser.from_json(text)


def test_the_largest_float32_is_none_too_many() -> None:
    largest = float.fromhex("0x1.fffffep+127")
    text = Normaliser.identity(1).to_json().replace("0.0", repr(largest), 1)
    assert Normaliser.from_json(text).mean[0] == np.float32(largest)
