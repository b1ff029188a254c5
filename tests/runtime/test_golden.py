from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import stored_zip
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.golden import FEATURE_TOLERANCE, BadGolden, Golden, verify_golden
from ser_edge_runtime.model_file import read_model_file

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture(scope="module")
def model_file():
    return read_model_file(DATA / "format_v2.tflite")


@pytest.fixture(scope="module")
def golden(model_file):
    return model_file.golden


@pytest.fixture(scope="module")
def classifier(model_file):
    return Classifier(model_file)


def with_member(golden, name, content):
    """The golden npz with one member's bytes replaced, itself a faultless zip."""
    data = golden.to_bytes()
    _, members = stored_zip.parse(
        data, most_members=8, largest_zip=len(data), largest_member=len(data)
    )
    return stored_zip.build({**members, f"{name}.npy": content})


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def test_reads_what_it_writes(golden):
    again = Golden.from_bytes(golden.to_bytes())
    for name in ("samples", "features", "probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(golden, name))
        assert getattr(again, name).dtype == np.float32
    assert (again.sample_rate, again.tolerance) == (golden.sample_rate, golden.tolerance)
    assert again.to_bytes() == golden.to_bytes()


def test_numpy_opens_what_is_written(golden):
    with np.load(io.BytesIO(golden.to_bytes()), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["samples"] / 32768, golden.samples)
        np.testing.assert_array_equal(arrays["features"], golden.features)
        np.testing.assert_array_equal(arrays["probabilities"], golden.probabilities)
        assert arrays["sample_rate"] == golden.sample_rate
        assert arrays["tolerance"] == golden.tolerance


def test_samples_of_more_than_16_bits_are_not_stored(golden):
    for value in (1.0, 1 / 65536, -1.5, np.nan):
        with pytest.raises(ValueError, match="1/32768"), np.errstate(invalid="ignore"):
            replace(golden, samples=np.array([0.5, value], np.float32)).to_bytes()


def test_full_scale_is_stored(golden):
    samples = np.array([-1.0, 32767 / 32768], np.float32)
    again = Golden.from_bytes(replace(golden, samples=samples).to_bytes())
    np.testing.assert_array_equal(again.samples, samples)


def test_an_array_too_many_or_too_few_is_refused(golden):
    with pytest.raises(BadGolden, match="other arrays"):
        Golden.from_bytes(with_member(golden, "extra", npy(1.0)))
    with pytest.raises(BadGolden, match="other arrays"):
        Golden.from_bytes(stored_zip.build({}))


# --- each row once --------------------------------------------------------------------------


def padded(golden, frames=200, spoken=20):
    """Golden vectors of a short clip in a long input: the frames behind it are all the same."""
    features = np.repeat(golden.features[-1:], frames, axis=0)
    features[40 : 40 + spoken] = golden.features[:spoken]
    return replace(golden, features=features)


def test_equal_rows_are_stored_once(golden):
    long = padded(golden)
    data = long.to_bytes()
    np.testing.assert_array_equal(Golden.from_bytes(data).features, long.features)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert len(arrays["features"]) == len(np.unique(long.features, axis=0))
        np.testing.assert_array_equal(arrays["features"][arrays["rows"]], long.features)
    assert len(data) < len(in_format_1(long)) - 1500


@given(
    rows=st.lists(st.integers(0, 4), max_size=30),
    width=st.integers(1, 3),
    zero=st.sampled_from([0.0, -0.0]),
)
def test_any_repetition_comes_back_as_it_was(golden, rows, width, zero):
    values = np.array([zero, 1, 2, 3, 4], np.float32)
    features = np.repeat(values[np.array(rows, np.int64)][:, None], width, axis=1)
    data = replace(golden, features=features).to_bytes()
    again = Golden.from_bytes(data)
    assert again.features.tobytes() == features.tobytes()
    assert again.features.shape == features.shape
    assert again.to_bytes() == data


def test_features_without_frames_are_stored_as_they_are(golden):
    flat = replace(golden, features=np.repeat(np.float32([1, 2]), 30))
    again = Golden.from_bytes(flat.to_bytes())
    np.testing.assert_array_equal(again.features, flat.features)


def in_format_1(golden):
    """As the first format has it: every frame, and no ``rows``."""
    data = with_member(golden, "features", npy(golden.features))
    _, members = stored_zip.parse(
        data, most_members=8, largest_zip=len(data), largest_member=len(data)
    )
    del members["rows.npy"]
    return stored_zip.build(members)


def test_the_first_format_has_every_frame(golden):
    old = Golden.from_bytes(in_format_1(padded(golden)))
    np.testing.assert_array_equal(old.features, padded(golden).features)
    assert Golden.from_bytes(old.to_bytes()).features.tobytes() == old.features.tobytes()


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([0, 1, 5], "a frame's row is none of the rows"),
        ([0, -1, 1], "a frame's row is none of the rows"),
        ([1, 0, 1], "not written in the one way"),
        ([0, 0, 0], "not written in the one way"),
        ([0, 2, 1], "not written in the one way"),
        ([], "not written in the one way"),
        ([[0, 1, 2]], "other shapes"),
    ],
)
def test_rows_that_point_elsewhere_or_in_another_order_are_refused(golden, rows, fault):
    short = replace(golden, features=golden.features[:3])
    content = npy(np.array(rows, np.int32))
    with pytest.raises(BadGolden, match=fault):
        Golden.from_bytes(with_member(short, "rows", content))


def test_a_row_that_stands_twice_is_refused(golden):
    short = replace(golden, features=golden.features[:2])
    twice = npy(np.repeat(golden.features[:1], 2, axis=0))
    with pytest.raises(BadGolden, match="not written in the one way"):
        Golden.from_bytes(with_member(short, "features", twice))


def test_rows_of_features_without_frames_are_refused(golden):
    flat = replace(golden, features=np.float32([1, 2, 3]))
    with pytest.raises(BadGolden, match="not written in the one way"):
        Golden.from_bytes(with_member(flat, "rows", npy(np.zeros(3, np.int32))))


def test_a_few_bytes_of_rows_cannot_fill_the_memory(golden):
    wide = replace(golden, features=np.zeros((1, 10_000), np.float32))
    rows = npy(np.zeros(100_000, np.int32))
    with pytest.raises(BadGolden, match="more values than a model may take"):
        Golden.from_bytes(with_member(wide, "rows", rows))


# --- what is refused ------------------------------------------------------------------------


def test_bytes_before_the_zip_are_refused(golden):
    data = golden.to_bytes()
    _, members = stored_zip.parse(
        data, most_members=8, largest_zip=len(data), largest_member=len(data)
    )
    with pytest.raises(BadGolden, match="other arrays"):
        Golden.from_bytes(b"xx" + stored_zip.build(members, 2))


def test_a_pickle_is_refused(golden):
    pickled = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadGolden, match="features is no array of float32"):
        Golden.from_bytes(with_member(golden, "features", pickled))


def test_another_element_type_is_refused(golden):
    with pytest.raises(BadGolden, match="samples is no array of int16"):
        Golden.from_bytes(with_member(golden, "samples", npy(golden.samples)))


def test_a_shape_of_more_than_is_there_is_refused(golden):
    header = golden.to_bytes()
    assert b"(20, 4)" in header
    honest = npy(golden.features)
    lying = honest.replace(b"(20, 4)", b"(99999999, 4)")
    with pytest.raises(BadGolden):
        Golden.from_bytes(with_member(golden, "features", lying))


def test_an_array_in_fortrans_order_is_refused(golden):
    with pytest.raises(BadGolden, match="features is no array"):
        Golden.from_bytes(with_member(golden, "features", npy(np.asfortranarray(golden.features))))


def test_another_spelling_of_the_same_array_is_refused(golden):
    wide = npy(golden.probabilities, version=(1, 0)).replace(b"(3,), }", b"(3,), } ", 1)
    with pytest.raises(BadGolden):
        Golden.from_bytes(with_member(golden, "probabilities", wide))


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.full((20, 4), np.nan, np.float32)},
        {"probabilities": np.array([np.inf, 0, 0], np.float32)},
        {"probabilities": np.zeros((1, 3), np.float32)},
        {"tolerance": float("nan")},
        {"tolerance": 0.0},
        {"sample_rate": 0},
        {"samples": np.zeros(0, np.float32)},
        {"samples": np.zeros((2, 2), np.float32)},
    ],
)
def test_vectors_that_make_no_sense_are_refused(golden, change):
    with pytest.raises(BadGolden):
        Golden.from_bytes(replace(golden, **change).to_bytes())


@given(st.data())
def test_a_changed_byte_is_refused(golden, data):
    changed = bytearray(golden.to_bytes())
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadGolden):
        Golden.from_bytes(bytes(changed))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    with pytest.raises(BadGolden):
        Golden.from_bytes(data)


@given(content=st.binary(max_size=200), name=st.sampled_from(["samples", "features", "tolerance"]))
def test_any_array_bytes_are_refused(golden, content, name):
    with pytest.raises(BadGolden):
        Golden.from_bytes(with_member(golden, name, b"\x93NUMPY\x01\x00" + content))


def test_this_machine_agrees_with_the_one_that_packed(model_file, classifier):
    report = verify_golden(model_file, classifier)
    assert report.passed
    assert report.same_label
    assert report.feature_difference <= FEATURE_TOLERANCE
    assert report.probability_difference <= report.tolerance


def replaced(model_file, **change):
    golden = replace(model_file.golden, **change)
    return replace(model_file, golden_npz=golden.to_bytes())


def test_a_front_end_that_drifted_is_found(model_file, classifier):
    features = model_file.golden.features.copy()
    features[7, 2] += 0.5
    report = verify_golden(replaced(model_file, features=features), classifier)
    assert not report.passed
    assert report.feature_difference > FEATURE_TOLERANCE
    assert report.probability_difference <= report.tolerance


def test_an_interpreter_that_drifted_is_found(model_file, classifier):
    turned = np.roll(model_file.golden.probabilities, 1)
    report = verify_golden(replaced(model_file, probabilities=turned), classifier)
    assert not report.passed
    assert not report.same_label
    assert report.probability_difference > report.tolerance
    assert report.feature_difference <= FEATURE_TOLERANCE


def test_the_tolerance_of_the_file_is_what_counts(model_file, classifier):
    shifted = model_file.golden.probabilities + np.array([0.01, -0.01, 0], np.float32)
    assert not verify_golden(replaced(model_file, probabilities=shifted), classifier).passed
    lenient = replaced(model_file, probabilities=shifted, tolerance=0.02)
    assert verify_golden(lenient, classifier).passed


def test_features_without_a_time_axis_are_compared_by_their_size(model_file, classifier):
    """One row has no range over time; a feature of 40 may be off by 40 times what one of 1 may."""

    class Averaging:
        labels = classifier.labels
        probabilities = staticmethod(lambda features: model_file.golden.probabilities)

        @staticmethod
        def front_end(samples):
            return np.array([40.0, 0.001, -3.0, 0.0], np.float32)

    class Carrying:
        golden = replace(
            model_file.golden, features=np.array([40.002, 0.001, -3.0, 0.0], np.float32)
        )

    report = verify_golden(Carrying, Averaging)
    assert report.feature_difference == pytest.approx(0.002 / 40.002, rel=0.02)
    assert report.passed
