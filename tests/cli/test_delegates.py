"""--delegate, --delegate-option and --delegate-fallback, in the commands that have them."""

from __future__ import annotations

import json

import pytest

from ..toy_delegate import compile_delegate


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_delegate(tmp_path_factory.mktemp("delegate"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--delegate-option", "take=all"], "--delegate-option needs --delegate"),
        (["--delegate-fallback"], "--delegate-fallback needs --delegate"),
        (["--delegate", "x.so", "--delegate-option", "take"], "'take' is not NAME=VALUE"),
        (["--delegate", "x.so", "--delegate-option", "=all"], "'=all' is not NAME=VALUE"),
        (["--delegate", "none", "--delegate-fallback"], "--delegate none is no library"),
        (["--delegate", "xnnpack", "--delegate-option", "a=b"], "--delegate xnnpack is no library"),
    ],
)
def test_options_that_make_no_sense(words, options):
    from click.testing import CliRunner

    from ser_edge.commands.classify import command

    done = CliRunner().invoke(command, ["x.wav", *options])
    assert done.exit_code == 2
    assert words in done.output


def test_a_partial_delegate_is_refused_in_one_line(ser_edge, one_line, model, clip, library):
    done = ser_edge(
        "classify", clip, "--model", model, "--delegate", library, "--delegate-option", "take=mean"
    )
    one_line(done, 1, library, "takes 1 of the graph's 2 operators", "--delegate-fallback")
    assert done.stdout == ""


def test_it_is_used_as_far_as_it_goes_where_the_cpu_may_help(
    ser_edge, one_line, model, clip, library
):
    usual = ser_edge("classify", clip, "--model", model, "--json")
    helped = ser_edge(
        "classify", clip, "--model", model, "--json", "--delegate", library,
        "--delegate-option", "take=mean", "--delegate-fallback",
    )  # fmt: skip
    one_line(helped, 0, f"ser-edge: {library}: takes 1 of", "the CPU runs the others")
    first, second = (json.loads(done.stdout)["scores"] for done in (usual, helped))
    assert first == pytest.approx(second, abs=1e-6)


def test_doctor_says_what_the_delegate_runs(ser_edge, model, library):
    done = ser_edge("doctor", "--model", model, "--delegate", library)
    assert f"delegate        {library}: runs 2 of 2 operators" in done.stdout, done.stderr
