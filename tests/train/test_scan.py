"""Scans of small layouts: what is found, counted once, left out, marked and named."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from ser_edge_train.corpora import crema_d
from ser_edge_train.errors import ManifestError, ScanError, TableError
from ser_edge_train.hearing import hear_all
from ser_edge_train.manifest import Manifest
from ser_edge_train.scan import open_data, scan, survey
from tests.train.recordings import noise, write_tree, write_wav

TESS = ["OAF_bar_angry.wav", "OAF_bar_sad.wav", "YAF_bar_ps.wav"]


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
        message(tmp_path / "missing")
        == f"{tmp_path / 'missing'}: no such file or folder; check the name"
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
