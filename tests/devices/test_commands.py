"""flash, rollback, status, slots and release as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ser_edge.cli import run
from ser_edge.devices.reports import lines
from ser_edge_convert.audit.subjects import read_subjects
from ser_edge_convert.errors import AuditRefused
from ser_edge_runtime.errors import SignatureRefused
from ser_edge_runtime.model_file import read_model_file
from ser_edge_runtime.signatures import verify
from ser_edge_runtime.slot_rules import release_of
from tests.runtime.slots.models import make_key, signers

CLIP = Path(__file__).resolve().parents[2] / "examples" / "clips" / "1001_DFA_ANG_XX.wav"


def said(capsys, *words) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run([*map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_for_people(capsys, tmp_path, files):
    card = tmp_path / "card"
    assert said(capsys, "flash", files["1"], card)[1].startswith(f"{card}: toy (")
    assert "release 1, untested would be in use" in said(
        capsys, "flash", files["1"], card, "--dry-run"
    )[1]  # fmt: skip
    code, out, _ = said(capsys, "status", card)
    assert code == 0
    assert out.splitlines()[0] == str(card)
    assert "  previous    none" in out
    assert "  takes       any model for cpu" in out
    code, out, err = said(capsys, "rollback", card)
    assert (code, out) == (1, "")
    assert "no previous model" in err


def test_a_rollback_that_is_only_asked_about_names_what_would_be(capsys, tmp_path, files):
    card = tmp_path / "card"
    for name in ("1", "2"):
        assert said(capsys, "flash", files[name], card, "--here")[0] == 0
    before = said(capsys, "slots", "status", card)[1]
    code, out, _ = said(capsys, "slots", "rollback", card, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["current"]["release"] == 1
    assert said(capsys, "slots", "status", card)[1] == before


def test_a_set_up_cannot_be_only_asked_about(capsys, tmp_path):
    code, _, err = said(capsys, "slots", "setup", tmp_path, "--dry-run")
    assert (code, "--dry-run is for install and rollback" in err) == (2, True)
    assert not list(tmp_path.iterdir())


def test_archives_lint_and_audits_read_the_model_in_use(capsys, tmp_path, files):
    card = tmp_path / "card"
    assert said(capsys, "flash", files["1"], card, "--here")[0] == 0
    code, out, err = said(capsys, "classify", "--model", card, "--jobs", "1", CLIP)
    assert (code, CLIP.name in out) == (0, True), err
    code, out, err = said(capsys, "lint", card, "--target", "cpu")
    assert (code, "runs on cpu" in out) == (0, True), err
    with pytest.raises(AuditRefused, match="was made from none of the references"):
        read_subjects([card], [])


def test_status_of_nothing_is_exit_1(capsys, tmp_path):
    (tmp_path / "card").mkdir()
    for words in (("status", tmp_path / "card"), ("slots", "status", tmp_path / "card")):
        code, out, err = said(capsys, *words)
        assert (code, "current     none" in out) == (1, True)
        assert "Traceback" not in err


def test_what_is_damaged_cut_and_failed_is_said():
    slot = {"sha256": "a" * 64, "name": "m", "release": 0, "signer": "", "tested": ""}
    values = {"current": slot, "previous": None, "incoming": ["x.tflite"], "failed": "b" * 64,
              "answers": None, "targets": ["cpu"], "signed": True, "runtime": "1.0",
              "interpreter": None}  # fmt: skip
    text = "\n".join(lines(values))
    for words in ("x.tflite (cut short", "bbbbbbbbbbbb at its first load", "cannot answer",
                  "signed models for cpu", "ser-edge 1.0, no interpreter"):  # fmt: skip
        assert words in text
    assert "answers with cccccccccccc" in "\n".join(lines({**values, "answers": "c" * 64}))


def test_a_model_that_is_none_is_refused_before_any_device(capsys, tmp_path, files):
    files["1"].write_bytes(files["1"].read_bytes()[:-5])
    code, _, err = said(capsys, "flash", files["1"], tmp_path / "card")
    assert code == 1
    assert err.count("\n") == 1
    assert not (tmp_path / "card").exists()


def test_a_named_signature_that_is_not_there(capsys, tmp_path, files):
    code, _, err = said(capsys, "flash", files["1"], tmp_path / "c", "--signature", tmp_path / "no")
    assert (code, "ser-edge release MODEL --key KEY" in err) == (1, True)


@pytest.mark.parametrize("words", [
    ["slots", "install", "folder"], ["slots", "sing", "folder"], ["flash", "model"],
    ["release", "m.tflite"], ["release", "m.tflite", "--number", "3"],
    ["release", "m.tflite", "--number", "0", "--out", "x.tflite"],
    ["release", "m.tflite", "--needs-runtime", "soon", "--out", "x.tflite"],
    ["release", "m.tflite", "--key", "k", "--out", "x.tflite"],
])  # fmt: skip
def test_wrong_options(capsys, words):
    code, _, err = said(capsys, *words)
    assert code == 2
    assert err.count("\n") == 1
    assert f"see: ser-edge {words[0]} --help" in err


@pytest.mark.parametrize(
    "sizes", [("--bytes", 65 << 20), ("--bytes", 1, "--signature-bytes", 1 << 20)]
)
def test_what_is_too_large_is_not_read(capsys, tmp_path, sizes):
    code, _, err = said(capsys, "slots", "install", tmp_path / "device", *sizes)
    assert (code, "too large for a model" in err) == (1, True)


def test_set_up_says_what_the_device_is(capsys, tmp_path, files):
    key = make_key(tmp_path, "maker")
    (tmp_path / "signers").write_bytes(signers(key))
    device = tmp_path / "device"
    code, out, _ = said(
        capsys, "slots", "setup", device, "--target", "edgetpu", "--target", "cpu",
        "--signers", tmp_path / "signers",
    )  # fmt: skip
    assert (code, "takes       signed models for edgetpu and cpu" in out) == (0, True)
    (tmp_path / "empty").write_text(" \n")
    code, _, err = said(capsys, "slots", "setup", device, "--signers", tmp_path / "empty")
    assert (code, "names no key" in err) == (1, True)
    assert said(capsys, "flash", files["1"], device)[0] == 1


def test_a_release_is_the_same_model_with_a_number(capsys, tmp_path, files):
    out = tmp_path / "out.tflite"
    words = ("release", files["1"], "--number", 12, "--needs-runtime", "0.1.0", "--out", out)
    code, text, _ = said(capsys, *words)
    assert (code, text.startswith(f"{out}: release 12, sha256 ")) == (0, True)
    before, after = read_model_file(files["1"]), read_model_file(out)
    assert release_of(after) == 12
    assert after.metadata.provenance["needs_runtime"] == "0.1.0"
    assert (after.flatbuffer, after.golden_npz) == (before.flatbuffer, before.golden_npz)
    first = out.read_bytes()
    assert said(capsys, *words)[0] == 0
    assert out.read_bytes() == first


def test_a_signed_release(capsys, tmp_path, files):
    key = make_key(tmp_path, "maker")
    out = tmp_path / "out.tflite"
    assert said(capsys, "release", files["1"], "--number", 2, "--out", out, "--key", key)[0] == 0
    signature = (tmp_path / "out.tflite.sig").read_bytes()
    assert verify(out.read_bytes(), signature, signers(key), "m") == "maker@example.org"
    with pytest.raises(SignatureRefused):
        verify(files["1"].read_bytes(), signature, signers(key), "m")
    # Numbered again without a key: the old signature is of another file.
    assert said(capsys, "release", files["1"], "--number", 3, "--out", out)[0] == 0
    assert not (tmp_path / "out.tflite.sig").exists()


def test_a_key_that_is_none_leaves_no_half_of_a_release(capsys, tmp_path, files):
    out = tmp_path / "out.tflite"
    words = ("release", files["1"], "--number", 2, "--out", out, "--key", tmp_path / "none")
    code, _, err = said(capsys, *words)
    assert (code, err.count("\n")) == (1, 1)
    assert not out.exists()


def test_a_folder_with_slots_is_a_model_to_other_commands(call, tmp_path, files, options):
    card = tmp_path / "card"
    assert call("flash", files["1"], card, *options)[0] == 0
    code, (row,), _ = call("info", card)
    assert (code, row["path"], row["bytes"]) == (0, str(card), files["1"].stat().st_size)
    assert row["provenance"] == {"release": 1}
    assert call("doctor", "--model", card)[1]
