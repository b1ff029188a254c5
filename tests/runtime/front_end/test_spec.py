"""The front end's specification: validation, JSON, identity."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.errors import SpecError
from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)

ALL = (Mfcc(), Delta(), Delta(order=2), Zcr(), Rms(), Chroma(), SpectralContrast(), LogMel())

specs = st.builds(
    FrontEndSpec,
    sample_rate=st.sampled_from([16000, 22050, 44100]),
    fft_length=st.sampled_from([512, 1024, 2048]),
    window_length=st.integers(2, 512),
    hop_length=st.integers(1, 512),
    window=st.sampled_from(["hann", "hamming", "rectangular"]),
    centred=st.booleans(),
    features=st.permutations([LogMel(), Zcr(), Rms(), Chroma(), SpectralContrast(), Mfcc()]).map(
        lambda features: (*features[:3], *([Delta()] if Mfcc() in features[:3] else []))
    ),
    trim_db=st.none() | st.floats(1, 100, allow_subnormal=False),
    level=st.none() | st.floats(0.001, 1, allow_subnormal=False),
    offset_seconds=st.floats(0, 10, allow_subnormal=False),
    clip_seconds=st.none() | st.floats(0.5, 10, allow_subnormal=False),
    cut=st.sampled_from(["centre", "start"]),
    layout=st.sampled_from(["sequence", "flat", "mean"]),
)


@given(specs)
def test_json_gives_back_an_equal_spec(spec: FrontEndSpec) -> None:
    again = FrontEndSpec.from_json(spec.to_json())
    assert again == spec
    assert hash(again) == hash(spec)
    assert again.digest == spec.digest
    assert again.frame_digest == spec.frame_digest


@settings(max_examples=50)
@given(specs)
def test_sound_for_a_clip_fills_it_behind_the_offset(spec: FrontEndSpec) -> None:
    if spec.clip_seconds is None:
        return
    seconds = spec.sound_for(spec.clip_seconds)
    left = spec.frame_count(round(seconds * spec.sample_rate)) - spec.skipped_frames
    assert left == spec.clip_frames
    assert abs(seconds - spec.clip_seconds - spec.offset_seconds) < 0.03


def test_repr_is_the_expression_that_builds_it() -> None:
    spec = FrontEndSpec(features=ALL, trim_db=40.0)
    assert eval(repr(spec)) == spec


def test_whole_numbers_for_seconds_do_not_change_the_identity() -> None:
    assert FrontEndSpec(clip_seconds=3).digest == FrontEndSpec(clip_seconds=3.0).digest
    assert FrontEndSpec(clip_seconds=3) == FrontEndSpec(clip_seconds=3.0)


def test_defaults_are_pinned() -> None:
    """Whoever changes a default changes every model trained without naming it."""
    values = FrontEndSpec(features=ALL).to_dict()
    features = {f["kind"] + str(f.get("order", "")): f for f in values.pop("features")}
    assert values == {
        "sample_rate": 16000, "fft_length": 512, "window_length": 400, "hop_length": 160,
        "window": "hann", "centred": True, "trim_db": None, "level": None,
        "offset_seconds": 0.0, "clip_seconds": 3.0, "cut": "centre", "layout": "sequence",
    }  # fmt: skip
    mel = {"fmin": 0.0, "fmax": None, "htk": False, "norm": "slaney", "top_db": 80.0}
    assert features == {
        "mfcc": {"kind": "mfcc", "bands": 128, "count": 40, **mel},
        "delta1": {"kind": "delta", "of": "mfcc", "order": 1, "width": 9},
        "delta2": {"kind": "delta", "of": "mfcc", "order": 2, "width": 9},
        "zcr": {"kind": "zcr"},
        "rms": {"kind": "rms"},
        "chroma": {"kind": "chroma", "bins": 12, "tuning": 0.0},
        "spectral_contrast": {
            "kind": "spectral_contrast", "bands": 6, "fmin": 200.0, "quantile": 0.02,
            "top_db": 80.0,
        },
        "log_mel": {"kind": "log_mel", "bands": 64, **mel},
    }  # fmt: skip


def test_digest_is_pinned() -> None:
    """Stored features and model files name it: it may only change with a new format."""
    assert (
        FrontEndSpec().digest == "78f7eb2f77fb27d784dddfa312bc0185798ebbd22009d6e3008d301a1cee35b0"
    )
    assert (
        FrontEndSpec().frame_digest
        == "0199131b5e6d38c0c341ffb7e2ed2e2df1852e86bc3403962118a5f26d4ffc66"
    )


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        FrontEndSpec().sample_rate = 8000  # type: ignore[misc]  # that it fails is the test


def test_names_give_every_column_a_name() -> None:
    spec = FrontEndSpec(features=ALL)
    assert len(spec.names) == spec.feature_count == 40 * 3 + 1 + 1 + 12 + 7 + 64
    assert len(set(spec.names)) == len(spec.names)
    assert spec.names[:2] == ("mfcc_0", "mfcc_1")
    assert spec.names[40] == "delta_mfcc_0"
    assert spec.names[80] == "delta2_mfcc_0"
    assert spec.names[120:122] == ("zcr", "rms")
    assert spec.names[122] == "chroma_0"
    assert spec.names[134] == "spectral_contrast_0"
    assert spec.names[-1] == "log_mel_63"


@pytest.mark.parametrize(
    ("layout", "shape"), [("sequence", (301, 64)), ("flat", (301 * 64,)), ("mean", (64,))]
)
def test_output_shape(layout: str, shape: tuple[int, ...]) -> None:
    assert FrontEndSpec(layout=layout).output_shape == shape


def test_open_length_has_no_shape_but_for_means() -> None:
    assert FrontEndSpec(clip_seconds=None, layout="mean").output_shape == (64,)
    with pytest.raises(SpecError, match="clip_seconds is None"):
        _ = FrontEndSpec(clip_seconds=None).output_shape


@pytest.mark.parametrize(
    ("samples", "centred", "frames"),
    [(0, True, 0), (1, True, 1), (159, True, 1), (160, True, 2), (16000, True, 101),
     (0, False, 0), (511, False, 0), (512, False, 1), (671, False, 1), (672, False, 2)],
)  # fmt: skip
def test_frame_count(samples: int, centred: bool, frames: int) -> None:
    assert FrontEndSpec(centred=centred).frame_count(samples) == frames


def test_clip_part_leaves_the_frame_digest_alone() -> None:
    spec = FrontEndSpec(features=(Mfcc(bands=64),))
    for other in (
        replace(spec, trim_db=40.0),
        replace(spec, level=0.1),
        replace(spec, clip_seconds=1.0),
        replace(spec, layout="mean"),
        replace(spec, cut="start"),
        replace(spec, offset_seconds=0.6),
        replace(spec, features=(Mfcc(bands=64, count=13), Delta(), LogMel(bands=64, top_db=None))),
    ):
        assert other.frame_digest == spec.frame_digest
        assert other.digest != spec.digest


def test_frame_part_changes_the_frame_digest() -> None:
    spec = FrontEndSpec()
    for other in (
        replace(spec, hop_length=128),
        replace(spec, window="hamming"),
        replace(spec, centred=False),
        replace(spec, features=(LogMel(bands=40),)),
        replace(spec, features=(LogMel(), Zcr())),
    ):
        assert other.frame_digest != spec.frame_digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 16000.0}, "sample_rate must be int"),
        ({"sample_rate": True}, "sample_rate must be int"),
        ({"fft_length": 511}, "even"),
        ({"fft_length": 8}, "fft_length"),
        ({"fft_length": 2**20}, "fft_length"),
        ({"window_length": 513}, "window_length"),
        ({"hop_length": 0}, "hop_length"),
        ({"window": "kaiser"}, "window"),
        ({"centred": 1}, "centred must be bool"),
        ({"features": ()}, "features"),
        ({"features": [LogMel()]}, "features"),
        ({"features": ("mfcc",)}, "is not a feature"),
        ({"features": (LogMel(), LogMel(bands=40))}, "twice"),
        ({"features": (Mfcc(), Delta(), Delta())}, "twice"),
        ({"features": (Delta(),)}, "no 'mfcc' stands before it"),
        ({"features": (Delta(), Mfcc())}, "no 'mfcc' stands before it"),
        ({"features": (Mfcc(), Delta(width=8))}, "width"),
        ({"features": (Mfcc(), Delta(order=3))}, "order"),
        ({"features": (Mfcc(bands=20, count=21),)}, "count"),
        ({"features": (LogMel(bands=0),)}, "bands"),
        ({"features": (LogMel(fmin=9000.0),)}, "fmin"),
        ({"features": (LogMel(fmax=8001.0),)}, "fmax"),
        ({"features": (LogMel(norm="l2"),)}, "norm"),
        ({"features": (LogMel(top_db=0.0),)}, "top_db"),
        ({"features": (LogMel(top_db=float("nan")),)}, "finite"),
        ({"features": (Chroma(bins=0),)}, "bins"),
        ({"features": (Chroma(tuning=0.5),)}, "tuning"),
        ({"features": (SpectralContrast(bands=7),)}, "sample_rate / 2"),
        ({"features": (SpectralContrast(quantile=0.5),)}, "quantile"),
        ({"trim_db": -1.0}, "trim_db"),
        ({"level": 0.0}, "level"),
        ({"level": float("inf")}, "finite"),
        ({"offset_seconds": -1.0}, "offset_seconds"),
        ({"clip_seconds": 0.0}, "clip_seconds"),
        ({"clip_seconds": 0.01, "centred": False}, "shorter than one frame"),
        ({"cut": "end"}, "cut"),
        ({"layout": "matrix"}, "layout"),
    ],
)
def test_nonsense_is_refused_by_name(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        FrontEndSpec(**fields)  # type: ignore[arg-type]  # that is the point
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "3", "{", '"spec"', '{"sample_rate":"16000"}', '{"hops":1}',
        '{"features":"mfcc"}', '{"features":[1]}', '{"features":[{"kind":"plp"}]}',
        '{"features":[{"bands":3}]}', '{"features":[{"kind":"zcr","bands":3}]}',
        '{"clip_seconds":1' + "0" * 400 + "}",
        '{"clip_seconds":NaN}', '{"level":1e999}', "[" * 100_000,
        '{"features":[{"kind":["mfcc"]}]}', '{"features":[{"kind":{}}]}',
    ],
)  # fmt: skip
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        FrontEndSpec.from_json(text)
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(FrontEndSpec().to_dict())), json_values)
def test_any_value_in_any_field_is_a_spec_or_a_spec_error(name: str, value: object) -> None:
    text = json.dumps({name: value})
    try:
        spec = FrontEndSpec.from_json(text)
    except SpecError:
        return
    assert FrontEndSpec.from_json(spec.to_json()) == spec
