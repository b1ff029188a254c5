"""What the converter itself is asked for in vain: clips to calibrate on, layers left in floats."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert import export  # noqa: E402
from ser_edge_convert.fused_lstm import prepare  # noqa: E402
from ser_edge_convert.variants import VARIANTS  # noqa: E402
from tests.convert import networks  # noqa: E402

CALIBRATED = [name for name, variant in VARIANTS.items() if variant.calibrated]
OTHERS = [name for name, variant in VARIANTS.items() if not variant.calibrated]


@pytest.fixture(scope="module")
def network():
    return prepare(networks.convolution(), "fused")[0]


def test_there_are_variants_of_both_kinds():
    assert {"int8", "int8-io", "int16x8"} == set(CALIBRATED)
    assert "float32" in OTHERS


@pytest.mark.parametrize("variant", CALIBRATED)
def test_a_calibrated_variant_without_clips_is_named(network, variant):
    with pytest.raises(ValueError, match=f"^{variant} needs clips to calibrate on$"):
        export.to_flatbuffer(network, variant, None)
    with pytest.raises(ValueError, match=f"^{variant} needs clips to calibrate on$"):
        export.make_converter(network, variant, None)


@pytest.mark.parametrize("variant", CALIBRATED)
def test_one_clip_is_enough_to_set_the_converter_up(network, variant):
    clips = networks.features(1)
    converter = export.make_converter(network, variant, clips)
    (fed,) = converter.representative_dataset()
    np.testing.assert_array_equal(np.concatenate(fed), clips)


@pytest.mark.parametrize("variant", OTHERS)
def test_the_other_variants_need_none(network, variant):
    assert export.make_converter(network, variant, None).representative_dataset is None


@pytest.mark.parametrize("variant", OTHERS)
def test_a_variant_of_floats_has_no_layers_to_leave(network, variant):
    said = f"^{variant} has no layers to leave in floating point$"
    with pytest.raises(ValueError, match=said):
        export.to_flatbuffer(network, variant, None, ["dense"])
