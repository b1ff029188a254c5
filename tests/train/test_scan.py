"""Scans of small layouts: what is found, counted once, left out, marked and named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ser_edge_train.corpora import crema_d
from ser_edge_train.errors import ManifestError, ScanError, TableError
from ser_edge_train.hearing import SILENCE, hear, hear_all
from ser_edge_train.manifest import Manifest
from ser_edge_train.scan import mark_equal_audio, open_data, scan, survey
from ser_edge_train.walk import find_recordings
from tests.train.recordings import RATE, make_clip, noise, write_tree, write_wav

TESS = ["OAF_bar_angry.wav", "OAF_bar_sad.wav", "YAF_bar_ps.wav"]


def faults(result):
    return {clip.stem: clip.fault for clip in result.manifest.clips if clip.fault}


# --- layouts


LAYOUTS = {
    "ravdess": [
        "Actor_01/03-01-01-01-01-01-01.wav",
        "Actor_02/03-01-05-02-02-02-02.wav",
    ],
    "ravdess deep": [
        "a/b/Actor_01/03-01-01-01-01-01-01.wav",
        "a/b/Actor_02/03-01-05-02-02-02-02.WAV",
    ],
    "crema-d": ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1040_ITH_SAD_X.wav"],
    "crema-d flat": ["1001_DFA_ANG_XX.wav", "1040_ITH_SAD_XX.wav"],
    "tess": [
        "TESS Toronto emotional speech set data/YAF_pleasant_surprised/YAF_bar_ps.wav",
        "TESS Toronto emotional speech set data/OAF_neutral/OA_bite_neutral.wav",
    ],
    "savee": ["AudioData/DC/a01.wav", "AudioData/KL/sa03.wav"],
    "savee flat": ["ALL/DC_a01.wav", "ALL/KL_sa03.wav"],
    "own": ["angry/s1/a.wav", "Sad/s2/b.wav"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_found_whole(tmp_path, layout):
    root = write_tree(tmp_path / "own", LAYOUTS[layout])
    result = survey([root])
    assert result.manifest.corpora == (layout.split()[0],)
    assert len(result.manifest.usable) == 2
    assert len({clip.speaker for clip in result.manifest.clips}) == 2
    assert result.summary.faults == ()
    assert result.summary.complete
    assert all(result.manifest.path_of(clip).is_file() for clip in result.manifest.clips)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tree_twice_over_counts_once(tmp_path, layout):
    root = write_tree(tmp_path / "own", LAYOUTS[layout])
    once = scan([root])
    # The common downloads hold the whole tree again inside itself.
    shutil.copytree(root, tmp_path / "again" / "own")
    shutil.move(tmp_path / "again" / "own", root / "own")
    twice = survey([root])
    if layout == "own":  # a folder of that name inside is another corpus of a user
        assert Counter(clip.fault for clip in twice.manifest.clips) == {"": 2, "duplicate": 2}
        return
    assert twice.manifest == once
    assert twice.summary.copies == 2
    assert "counted once: 2 further copies" in "\n".join(twice.summary.lines())


def test_ravdess_common_download(tmp_path):
    names = LAYOUTS["ravdess"]
    write_tree(tmp_path, names)
    write_tree(tmp_path / "audio_speech_actors_01-24", names)
    write_wav(tmp_path / "audio_song_actors_01-24" / "Actor_01" / "03-02-01-01-01-01-01.wav", 9)
    result = survey([tmp_path])
    assert len(result.manifest.clips) == 2
    assert result.summary.copies == 2
    assert [clip.path for clip in result.manifest.clips] == names
    assert "left out: 1 of ravdess, songs" in result.summary.lines()


def test_fields_reach_the_manifest(tmp_path):
    write_wav(tmp_path / "Actor_02" / "03-01-05-02-01-02-02.wav", noise(1, seconds=0.5))
    (clip,) = scan([tmp_path]).clips
    assert (clip.speaker, clip.sex, clip.emotion) == ("02", "female", "angry")
    assert (clip.intensity, clip.sentence, clip.take) == ("strong", "01", "02")
    assert clip.seconds == 0.5
    assert len(clip.audio_sha256) == 64


def test_sexes_come_from_the_table_beside_the_clips(tmp_path):
    write_tree(tmp_path / "AudioWAV", ["1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav"])
    assert [clip.sex for clip in scan([tmp_path]).clips] == ["male", "female"]
    table = tmp_path / crema_d.DEMOGRAPHICS
    table.write_text("ActorID,Sex\n1001,Female\n")
    assert [clip.sex for clip in scan([tmp_path]).clips] == ["female", "female"]
    table.write_text("nonsense\n")
    result = survey([tmp_path])
    assert [clip.sex for clip in result.manifest.clips] == ["male", "female"]
    (note,) = result.summary.notes
    assert f"{table}:1:" in note


def test_several_sources_share_their_common_folder(tmp_path):
    write_tree(tmp_path / "tess", TESS)
    write_wav(tmp_path / "savee" / "DC" / "a01.wav", 7)
    (tmp_path / "calls").mkdir()
    write_wav(tmp_path / "calls" / "x.wav", 8)
    (tmp_path / "calls" / "list.csv").write_text("path,emotion,speaker,mood\nx.wav,bored,s,1\n")
    result = survey([tmp_path / "tess", tmp_path / "savee", str(tmp_path / "calls" / "list.csv")])
    assert result.manifest.root == tmp_path
    assert result.manifest.corpora == ("list", "savee", "tess")
    assert result.manifest.by_key["list", "x"].path == "calls/x.wav"
    notes = "\n".join(result.summary.notes)
    assert "columns not used: mood" in notes
    assert "list: labels beside the canonical ones: bored" in notes


def test_a_table_rules_over_the_folder_it_lies_in(tmp_path):
    write_tree(tmp_path / "own", ["angry/s1/a.wav", "angry/s1/b.wav", "OAF_bar_sad.wav"])
    table = tmp_path / "own" / "own.csv"
    table.write_text("path,emotion\nangry/s1/a.wav,calm\nOAF_bar_sad.wav,happy\n")
    result = survey([tmp_path / "own", table])
    assert {(c.corpus, c.stem, c.emotion) for c in result.manifest.clips} == {
        ("own", "angry/s1/a", "calm"),
        ("own", "OAF_bar_sad", "happy"),
        ("own-2", "angry/s1/b", "angry"),
    }
    assert survey([table, tmp_path / "own"]) == result


def test_tables_of_one_name_stay_apart(tmp_path):
    for number, folder in enumerate(("a", "b")):
        write_wav(tmp_path / folder / "x.wav", number)
        (tmp_path / folder / "list.csv").write_text(
            f"path,emotion\nx.wav,{('sad', 'calm')[number]}\n"
        )
    result = survey([tmp_path / "b" / "list.csv", tmp_path / "a" / "list.csv"])
    assert [(c.corpus, c.emotion) for c in result.manifest.usable] == [
        ("list", "sad"),
        ("list-2", "calm"),
    ]


def test_the_order_of_sources_does_not_matter(tmp_path):
    write_tree(tmp_path / "a", TESS)
    write_tree(tmp_path / "b", TESS[:2], first_seed=50)
    one, other = survey([tmp_path / "a", tmp_path / "b"]), survey([tmp_path / "b", tmp_path / "a"])
    assert one == other


def test_overlapping_sources_count_once(tmp_path):
    write_tree(tmp_path / "tess", TESS)
    result = survey([tmp_path, tmp_path / "tess", tmp_path])
    assert len(result.manifest.clips) == 3
    assert result.summary.copies == 0


def test_a_relative_source(tmp_path, monkeypatch):
    write_tree(tmp_path / "tess", TESS)
    monkeypatch.chdir(tmp_path)
    assert scan(["tess"]) == scan([tmp_path / "tess"])


def test_unknown_speakers_are_said(tmp_path):
    write_tree(tmp_path / "own", ["angry/1.wav", "sad/2.wav"])
    result = survey([tmp_path / "own"])
    assert not any(clip.speaker_known for clip in result.manifest.clips)
    assert len({clip.speaker for clip in result.manifest.clips}) == 2
    (note,) = result.summary.notes
    assert "not proven speaker-disjoint" in note
    assert "own: 2 clips (2 usable), speakers unknown" in result.summary.lines()[0]


def test_what_is_not_recognised_is_named(tmp_path):
    write_tree(tmp_path, [*TESS, "notes/x.wav", "y.wav"])
    result = survey([tmp_path])
    assert set(result.summary.unrecognised) == {
        str(tmp_path / "y.wav"),
        str(tmp_path / "notes" / "x.wav"),
    }
    assert any(line.startswith("not recognised: 2 recordings") for line in result.summary.lines())


# --- faults


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


# --- folders as they are


def test_links_are_followed_and_loops_end(tmp_path):
    write_tree(tmp_path / "data" / "tess", TESS)
    (tmp_path / "data" / "tess" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "tess").symlink_to(tmp_path / "data" / "tess", target_is_directory=True)
    result = survey([tmp_path / "view"])
    assert len(result.manifest.clips) == 3
    assert result.summary.copies == 0
    assert all(clip.path.startswith("tess/") for clip in result.manifest.clips)


def test_what_macos_leaves_in_zips_is_passed_over(tmp_path):
    write_tree(tmp_path, TESS)
    (tmp_path / f"._{TESS[0]}").write_bytes(b"\0\5\x16\7")
    write_wav(tmp_path / "__MACOSX" / TESS[0], 9)
    write_wav(tmp_path / ".hidden" / TESS[0], 9)
    result = survey([tmp_path])
    assert len(result.manifest.usable) == 3
    assert result.summary.copies == 0


def test_pipes_and_dead_links_block_nobody(tmp_path):
    write_tree(tmp_path, TESS)
    os.mkfifo(tmp_path / "OAF_pipe_sad.wav")
    (tmp_path / "OAF_gone_sad.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "OAF_folder_sad.wav").mkdir()
    result = survey([tmp_path])
    assert len(result.manifest.clips) == 3
    (line,) = result.summary.unreadable
    assert line == f"{tmp_path / 'OAF_gone_sad.wav'}: is a link that leads nowhere"


@pytest.mark.parametrize("name", [b"OAF_\xff_sad.wav", b"angry\n/s/x.wav", b"sad/a\\..\\x.wav"])
def test_names_that_no_manifest_can_hold_are_named(tmp_path, name):
    write_tree(tmp_path, TESS)
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))  # noqa: PTH118 - bytes
    write_wav(path, 9)
    result = survey([tmp_path])
    assert len(result.manifest.clips) == 3
    (line,) = result.summary.unreadable
    assert line.endswith("rename it")
    line.encode()
    assert "\n" not in line
    result.manifest.write(tmp_path / "manifest.csv")


def test_the_walks_order_is_the_same_everywhere(tmp_path):
    names = ["b/x.wav", "a/y.wav", "a/b/z.wav", "top.wav", "a/B.wav"]
    write_tree(tmp_path, names)
    found = [path.relative_to(tmp_path).as_posix() for path, _ in find_recordings([tmp_path]).files]
    assert found == ["top.wav", "a/B.wav", "a/y.wav", "b/x.wav", "a/b/z.wav"]


AS_NOBODY = """
import json, os, sys
from pathlib import Path
from ser_edge_train.scan import survey
folder = Path(sys.argv[1])
survey([folder / "open"])                 # whatever is imported late is imported as root
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
result = survey([folder])
try:
    survey([folder / "locked"])
    refused = ""
except Exception as fault:
    refused = f"{type(fault).__name__}: {fault}"
print(json.dumps([len(result.manifest.clips), len(result.manifest.usable),
    list(result.summary.unreadable), [f.text for f in result.summary.faults],
    result.summary.complete, refused]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_folders_and_files_that_may_not_be_read_are_named():
    # Root reads everything, so the scan runs as another user where the tests run
    # as root; pytest's own temporary folders are closed to other users.
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        write_tree(folder / "open", TESS)
        write_tree(folder / "locked", LAYOUTS["crema-d"])
        (folder / "open" / TESS[0]).chmod(0)
        (folder / "locked").chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        clips, usable, unreadable, texts, complete, refused = json.loads(done.stdout)
    finally:
        (folder / "locked").chmod(0o755)
        shutil.rmtree(folder)
    assert (clips, usable) == (3, 2)
    assert unreadable == [f"{folder / 'locked'}: cannot be listed (Permission denied)"]
    assert len(texts) == 1
    assert str(folder / "open" / TESS[0]) in texts[0]
    assert not complete
    assert refused.startswith(f"ScanError: {folder / 'locked'}: not readable: ")
    assert "Permission denied" in refused


# --- calls


def test_progress_counts_every_recording_to_the_end(tmp_path):
    write_tree(tmp_path, TESS)
    calls: list[tuple[int, int]] = []
    scan([tmp_path], workers=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_equal_files_are_decoded_once(tmp_path):
    write_tree(tmp_path / "a", TESS)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    totals: set[int] = set()
    scan([tmp_path], progress=lambda done, total: totals.add(total))
    assert totals == {3}


def test_one_worker_and_many_hear_the_same(tmp_path):
    paths = [tmp_path / name for name in TESS]
    write_tree(tmp_path, TESS)
    assert hear_all(paths, workers=1) == hear_all(paths, workers=3)


def test_an_interrupt_ends_the_scan(tmp_path):
    write_tree(tmp_path, TESS)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan([tmp_path], progress=interrupt)


def test_open_data_reads_a_manifest_and_scans_the_rest(tmp_path):
    write_tree(tmp_path / "tess", TESS)
    manifest = open_data([tmp_path / "tess"])
    path = tmp_path / "elsewhere.csv"
    manifest.write(path)
    shutil.rmtree(tmp_path / "tess")
    assert open_data([path]) == manifest
    path.write_text(path.read_text().replace("angry", "Angry!"))
    with pytest.raises(ManifestError):
        open_data([path])


def test_a_source_that_gives_nothing_says_why(tmp_path):
    def message(*sources: Path) -> str:
        with pytest.raises(ScanError) as caught:
            survey(sources)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no folder is named" in message()
    assert (
        message(tmp_path / "missing") == f"{tmp_path / 'missing'}: no such folder; check the name"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no recording" in message(empty)
    odd = write_wav(tmp_path / "odd" / "x.wav", 1)
    assert "none of its 1 recordings" in message(odd.parent)
    assert "neither a folder nor a .csv table" in message(odd)
    song = write_wav(tmp_path / "songs" / "03-02-01-01-01-01-01.wav", 1)
    assert "songs" in message(song.parent)
    manifest = tmp_path / "manifest.csv"
    Manifest(tmp_path, ()).write(manifest)
    assert "a manifest, the result of a scan" in message(manifest)
    (tmp_path / "table.csv").write_text("nonsense")
    with pytest.raises(TableError):
        survey([tmp_path / "table.csv"])


def test_json_ready(tmp_path):
    from dataclasses import asdict

    write_tree(tmp_path, TESS)
    values = json.loads(json.dumps(asdict(survey([tmp_path]).summary)))
    assert values["corpora"][0]["labels"] == {"angry": 1, "sad": 1, "surprise": 1}
    assert values["corpora"][0]["speakers_by_sex"] == {"female": 2}
