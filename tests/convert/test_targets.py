"""The tables of variants and targets: what they promise, allow and refuse."""

from __future__ import annotations

import re

import pytest

from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.targets import LSTM_FORMS, TARGETS, check_form, plan
from ser_edge_convert.variants import VARIANTS, variant_named


def test_the_names_are_those_of_the_command_line():
    assert list(VARIANTS) == ["float32", "float16", "dynamic", "int8", "int8-io", "int16x8"]
    assert list(TARGETS) == ["cpu", "edgetpu", "ethos-u", "micro", "web", "gpu"]


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_variant_means_what_its_name_says(variant):
    assert variant.name == variant_named(variant.name).name
    assert variant.calibrated == variant.name.startswith("int")
    assert (variant.tensor_type == "int8") == (variant.name == "int8-io")
    assert 0.5 < variant.agreement < 1, "chance and a lost weight must fall below it"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_row_is_whole(target):
    assert re.search(r"\b2026-\d\d-\d\d$", target.source), "a source has a date"
    assert target.variant in target.variants
    assert target.recurrent_variant in target.variants
    assert set(target.variants) <= set(VARIANTS)
    for variant, forms in target.variants.items():
        assert set(forms) <= set(LSTM_FORMS)
        assert forms
        assert (variant, "fused") != ("int16x8", forms[0])


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_plan_that_it_can_run(target, recurrent):
    made = plan(recurrent, target=target)
    check_form(made.target, made.variant, made.lstm)
    assert made.target == target


@pytest.mark.parametrize(
    ("recurrent", "target", "variant", "lstm"),
    [
        (False, "cpu", "int8", "fused"),
        (True, "cpu", "dynamic", "fused"),
        (True, "ethos-u", "int8-io", "fused"),
        (True, "micro", "int8-io", "fused"),
        (True, "web", "dynamic", "unrolled"),
        (False, "web", "int8", "unrolled"),
        (True, "gpu", "float16", "unrolled"),
    ],
)
def test_what_each_target_prefers(recurrent, target, variant, lstm):
    made = plan(recurrent, target=target)
    assert (made.variant, made.lstm) == (variant, lstm)


def test_a_variant_alone_is_made_for_the_processor_and_fused():
    assert plan(True, variant="int8").lstm == "fused"
    assert plan(True, variant="int8").target == "cpu"
    assert plan(True, variant="int16x8").lstm == "unrolled"


@pytest.mark.parametrize(
    ("target", "variant"),
    [("web", "int8-io"), ("edgetpu", "float32"), ("gpu", "int8"), ("micro", "dynamic")],
)
def test_what_does_not_run_is_refused_with_reason_source_and_choice(target, variant):
    with pytest.raises(ConversionRefused) as caught:
        plan(True, target=target, variant=variant)
    text = str(caught.value)
    assert text.startswith(f"{variant} does not run on {target}: ")
    assert TARGETS[target].source in text
    assert "choose one of" in text
    assert "\n" not in text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpu", "int16x8", "fused"), "16x8 not yet supported"),
        (("web", "float32", "fused"), "Variable tensors"),
        (("cpu", "int8", "while"), "no LSTM form 'while'"),
        (("moon", "int8", "fused"), "no target 'moon'"),
    ],
)
def test_a_form_that_does_not_run_is_refused(arguments, message):
    with pytest.raises(ConversionRefused, match=message):
        check_form(*arguments)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConversionRefused, match="no variant 'int4'; choose one of float32"):
        plan(False, variant="int4")
    with pytest.raises(ConversionRefused, match="no target 'tpu'; choose one of cpu"):
        plan(False, target="tpu")
