"""What a scan finds wrong with recordings."""

from __future__ import annotations

import numpy as np

from ser_edge_train.hearing import SILENCE, hear
from ser_edge_train.manifest import Manifest
from ser_edge_train.scan import mark_equal_audio, survey
from tests.train.recordings import RATE, make_clip, noise, write_tree, write_wav

TESS = ["OAF_bar_angry.wav", "OAF_bar_sad.wav", "YAF_bar_ps.wav"]


def faults(result):
    return {clip.stem: clip.fault for clip in result.manifest.clips if clip.fault}


def test_silence_has_a_margin_on_both_sides(tmp_path):
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "OAF_zero_sad.wav", np.zeros(RATE))
    write_wav(tmp_path / "OAF_dither_sad.wav", rng.integers(-2, 3, RATE))
    write_wav(tmp_path / "OAF_offset_sad.wav", np.full(RATE, 9000))
    write_wav(tmp_path / "OAF_quiet_sad.wav", noise(1, level=4e-3))
    result = survey([tmp_path])
    assert faults(result) == {
        "OAF_zero_sad": "silent",
        "OAF_dither_sad": "silent",
        "OAF_offset_sad": "silent",
    }
    assert result.summary.fault_counts() == {"silent": 3}
    assert hear(tmp_path / "OAF_quiet_sad.wav").excursion > 5 * SILENCE


def test_equal_audio_under_one_label_keeps_the_first(tmp_path):
    for name in ("OAF_b_sad", "OAF_a_sad", "OAF_c_sad"):
        write_wav(tmp_path / f"{name}.wav", 5)
    result = survey([tmp_path])
    assert faults(result) == {"OAF_b_sad": "duplicate", "OAF_c_sad": "duplicate"}
    (fault,) = result.summary.faults
    assert fault.clips == ("tess OAF_a_sad", "tess OAF_b_sad", "tess OAF_c_sad")
    assert "kept: tess OAF_a_sad" in fault.text


def test_equal_audio_under_two_labels_keeps_none(tmp_path):
    for name in ("OAF_a_sad", "OAF_a_angry", "OAF_b_sad"):
        write_wav(tmp_path / f"{name}.wav", 5)
    result = survey([tmp_path])
    assert set(faults(result).values()) == {"conflict"}
    assert len(faults(result)) == 3
    (fault,) = result.summary.faults
    assert "tess OAF_a_angry (angry) = tess OAF_a_sad (sad)" in fault.text


def test_equality_is_of_decoded_audio_not_of_bytes(tmp_path):
    path = write_wav(tmp_path / "OAF_a_sad.wav", 5)
    twin = tmp_path / "OAF_b_sad.wav"
    twin.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00abcd")
    assert faults(survey([tmp_path])) == {"OAF_b_sad": "duplicate"}


def test_a_copy_whose_speaker_is_unknown_is_the_one_that_goes():
    known = make_clip(1, corpus="tess", stem="z", speaker="OAF", sex="female")
    named = make_clip(1, corpus="own", stem="y", speaker="s1")
    nobody = make_clip(1, corpus="own", stem="a", speaker="unknown:a")
    marked, (fault,) = mark_equal_audio([nobody, named, known])
    assert {clip.stem: clip.fault for clip in marked} == {
        "a": "duplicate",
        "y": "duplicate",
        "z": "",
    }
    assert fault.text.endswith("(kept: tess z)")


def test_silent_clips_are_no_twins_of_each_other(tmp_path):
    for name in ("OAF_a_sad", "OAF_a_angry"):
        write_wav(tmp_path / f"{name}.wav", np.zeros(RATE))
    assert survey([tmp_path]).summary.fault_counts() == {"silent": 2}


def test_too_short(tmp_path):
    write_wav(tmp_path / "OAF_a_sad.wav", noise(1, seconds=0.0999))
    write_wav(tmp_path / "OAF_b_sad.wav", noise(1, seconds=0.1))
    result = survey([tmp_path])
    assert faults(result) == {"OAF_a_sad": "too-short"}
    assert "(100 ms)" in result.summary.faults[0].text


def test_other_audio_under_one_stem_is_named_with_both_paths(tmp_path):
    write_wav(tmp_path / "one" / TESS[0], 1)
    write_wav(tmp_path / "two" / TESS[0], 2)
    write_wav(tmp_path / "two" / TESS[1], 3)
    result = survey([tmp_path])
    assert faults(result) == {"OAF_bar_angry": "repeated-stem"}
    (fault,) = result.summary.faults
    assert str(tmp_path / "one" / TESS[0]) in fault.text
    assert str(tmp_path / "two" / TESS[0]) in fault.text
    assert len(result.manifest.clips) == 2


def test_a_repeated_stem_still_accuses_its_twin_of_another_label(tmp_path):
    write_wav(tmp_path / "one" / "OAF_a_sad.wav", 1)
    write_wav(tmp_path / "two" / "OAF_a_sad.wav", 2)
    write_wav(tmp_path / "one" / "OAF_a_angry.wav", 1)
    assert faults(survey([tmp_path])) == {"OAF_a_sad": "repeated-stem", "OAF_a_angry": "conflict"}


def test_unreadable_recordings_stay_in_the_manifest_and_the_rest_is_done(tmp_path):
    write_tree(tmp_path, TESS)
    (tmp_path / TESS[0]).write_text("this is no sound")
    (tmp_path / TESS[1]).write_bytes((tmp_path / TESS[1]).read_bytes()[:200])
    result = survey([tmp_path])
    assert faults(result) == {"OAF_bar_angry": "unreadable", "OAF_bar_sad": "unreadable"}
    assert not result.summary.complete
    texts = "\n".join(fault.text for fault in result.summary.faults)
    assert str(tmp_path / TESS[0]) in texts
    assert len(result.manifest.usable) == 1
    result.manifest.write(tmp_path / "manifest.csv")
    assert Manifest.read(tmp_path / "manifest.csv") == result.manifest


def test_a_damaged_copy_does_not_cost_the_clip(tmp_path):
    whole = write_wav(tmp_path / "b" / "deep" / TESS[0], 1)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / TESS[0]).write_bytes(whole.read_bytes()[:500])
    result = survey([tmp_path])
    assert [clip.path for clip in result.manifest.usable] == [f"b/deep/{TESS[0]}"]
    assert not result.summary.complete
    (line,) = result.summary.unreadable
    assert line.startswith(str(tmp_path / "a" / TESS[0]))


def test_a_table_names_a_missing_recording_and_keeps_the_rest(tmp_path):
    write_wav(tmp_path / "x.wav", 1)
    table = tmp_path / "list.csv"
    table.write_text("path,emotion\nx.wav,sad\nmissing.wav,sad\n")
    result = survey([table])
    assert faults(result) == {"missing": "unreadable"}
    assert len(result.manifest.usable) == 1


def test_lists_of_faults_are_cut_in_print_only(tmp_path):
    for number in range(30):
        write_wav(tmp_path / "angry" / "s1" / f"{number:02d}.wav", np.zeros(RATE // 5))
    result = survey([tmp_path])
    lines = result.summary.lines()
    assert len(lines) < 25
    assert any("and 11 more silent" in line for line in lines)
    assert len(result.summary.faults) == 30
