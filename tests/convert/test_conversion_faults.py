"""What stops a conversion before its work: settings, C names, networks nobody may read."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge.cli import run
from ser_edge_convert.c_array import check_name, write_c_array
from ser_edge_convert.conversion import Settings, convert
from ser_edge_convert.errors import ConversionRefused, OutputFailed
from ser_edge_runtime.model_file import read_model_file
from tests.convert import toy_run

DATA = Path(__file__).resolve().parent.parent / "data"
SHARES = {"max_drop": "max drop", "min_agreement": "min agreement"}
NO_SHARE = st.one_of(
    st.floats(max_value=0.0, exclude_max=True, allow_nan=False),
    st.floats(min_value=1.0, exclude_min=True, allow_nan=False),
    st.just(float("nan")),
)


# Settings


@given(name=st.sampled_from(sorted(SHARES)), value=NO_SHARE)
def test_a_setting_that_is_no_share_is_named_with_its_value(name, value):
    with pytest.raises(ConversionRefused) as caught:
        Settings(**{name: value})
    assert str(caught.value) == f"{SHARES[name]} {value} is no share; choose 0 to 1"
    assert caught.value.exit_code == 2


@given(name=st.sampled_from(sorted(SHARES)), value=st.floats(min_value=0.0, max_value=1.0))
def test_every_share_is_a_setting_with_both_ends(name, value):
    for allowed in (value, 0.0, 1.0):
        gate = Settings(**{name: allowed}).gate
        assert getattr(gate, name) == allowed


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run.make_run(tmp_path_factory.mktemp("settings"), trained=False)


@pytest.mark.parametrize("name", SHARES)
def test_a_refused_setting_leaves_the_old_model_and_nothing_new(trained, tmp_path, name):
    out = tmp_path / "model.tflite"
    out.write_bytes(b"converted before")

    def never(*step):
        raise AssertionError("the work began")

    for value in (-0.001, 1.001):
        with pytest.raises(ConversionRefused, match=f"^{SHARES[name]} {value} is no share; "):
            convert(trained, out, store=tmp_path / "store", progress=never, **{name: value})
    assert out.read_bytes() == b"converted before"
    assert list(tmp_path.iterdir()) == [out]


# Names of C files

UNFIT = ['"', "\\", "??", "\n", "\r", "\t", "\x00", "\x1b", "\u2028", "\udcff"]
FIT = st.text(st.sampled_from("aZ09 _-+.,()[]{}#%&'é字"), max_size=8)


@given(before=FIT, unfit=st.sampled_from(UNFIT), after=FIT)
def test_a_name_that_would_break_an_include_is_refused_in_one_line(before, unfit, after):
    path = Path(f"net{before}{unfit}{after}.c")
    with pytest.raises(OutputFailed) as caught:
        check_name(path)
    named = str(path) if str(path).isprintable() else ascii(str(path))
    said = f"{named}: no name that C can include; use letters and digits"
    assert str(caught.value) == said
    assert "\n" not in said


@given(before=FIT, ending=st.sampled_from([".c", ".cc", ".cpp", ".cxx"]))
def test_any_other_name_with_an_ending_of_c_is_taken(before, ending):
    check_name(Path(f"net{before}{ending}"))


@pytest.mark.parametrize("ending", ["", ".h", ".C", ".c.txt", ".tflite"])
def test_another_ending_is_told_which_there_are(ending):
    with pytest.raises(OutputFailed) as caught:
        check_name(Path(f"net{ending}"))
    assert str(caught.value) == f"net{ending}: no name of a C file; end it in .c, .cc, .cpp, .cxx"


def test_a_refused_name_writes_no_file_and_a_good_one_stands_in_the_include(tmp_path):
    model = read_model_file(DATA / "format_v1.tflite")
    with pytest.raises(OutputFailed, match=r"no name that C can include; use letters and digits$"):
        write_c_array(model, tmp_path / 'a "net".c')
    assert list(tmp_path.iterdir()) == []
    write_c_array(model, tmp_path / "a (net)'.c")
    assert (tmp_path / "a (net)'.c").read_text().count('#include "a (net)\'.h"\n') == 1


def test_the_command_refuses_the_name_before_it_reads_the_run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["convert", "no-run", "--out", "m.tflite", "--c-array", 'a".c']) == 2
    assert capsys.readouterr().err == (
        'ser-edge: --c-array a".c: no name that C can include; use letters and digits; '
        "see: ser-edge convert --help\n"
    )
    assert list(tmp_path.iterdir()) == []


# Networks

AS_NOBODY = """
import os, sys
from pathlib import Path
from ser_edge_convert.errors import BadNetwork
from ser_edge_convert.network_file import network_digest
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for name in sys.argv[1:]:
    try:
        print(network_digest(Path(name)))
    except BadNetwork as fault:
        print(fault)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_network_that_may_not_be_read_is_named_and_its_permissions():
    """Root reads everything, and pytest's own temporary folders are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="ser-edge-") as made:
        place = Path(made)
        place.chmod(0o755)
        (place / "saved" / "variables").mkdir(parents=True)
        names = ["closed.keras", "saved/variables/index", "saved/saved_model.pb", "open.keras"]
        for name in names:
            (place / name).write_bytes(b"weights")
            (place / name).chmod(0 if name in names[:2] else 0o644)
        paths = [str(place / name) for name in ("closed.keras", "saved", "open.keras")]
        words = [sys.executable, "-c", AS_NOBODY, *paths]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    closed, saved, digest = done.stdout.splitlines()
    assert closed == f"{paths[0]}: Permission denied; check its permissions"
    # Of a folder the file that is closed.
    assert saved == f"{paths[1]}/variables/index: Permission denied; check its permissions"
    assert len(digest) == 64
