"""``ser-edge leaks`` as a command: what it prints, what it exits with, whose files it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import PROTOCOLS, Partition, Row
from tests.train.recordings import make_clip

PARTS = {"a": "train", "b": "train", "c": "validation", "d": "test"}


def clips() -> list[Clip]:
    """Four speakers; the sentences of a stand in the test part too."""
    return [
        make_clip(
            number,
            stem=f"{speaker}{take}",
            speaker=speaker,
            sentence=f"{'x' if speaker in 'ad' else speaker}{take}",
        )
        for number, (speaker, take) in enumerate((s, t) for s in "abcd" for t in range(3))
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest and its clean partition."""
    manifest = Manifest(tmp_path, tuple(clips()))
    manifest.write(tmp_path / "manifest.csv")
    Partition.of(manifest.clips, lambda clip: PARTS[clip.speaker]).write(tmp_path / "split.csv")
    return tmp_path


@pytest.fixture
def leaks(ser_edge, folder):
    """The command on the folder's files, or on a partition that a test writes there."""

    def run(*words: str, change: Callable[[list[Row]], list[Row]] = list):
        rows = change(list(Partition.read(folder / "split.csv").rows))
        Partition(tuple(rows)).write(folder / "split.csv")
        return ser_edge("leaks", "manifest.csv", "split.csv", *words, cwd=folder)

    return run


def moved(rows: list[Row]) -> list[Row]:
    return [replace(row, part="test") if row.stem == "b2" else row for row in rows]


def test_a_clean_partition_passes_and_says_what_was_checked(leaks):
    done = leaks()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "clips and speakers: train 6 of 2, validation 3 of 1, test 3 of 1",
        "speaker    none in two parts",
        "duplicate  none in two parts",
        "sibling    none in two parts",
        "sentence   3 sentences in both train and test: own x0, own x1, own x2",
        "clean: no speaker, no equal audio, no augmented copy in two parts",
    ]


def test_a_speaker_in_two_parts_fails(leaks, one_line):
    done = leaks(change=moved)
    one_line(done, 1, "split.csv: leaks: 1 speaker in both train and test (first: own b)",
             "ser-edge train")  # fmt: skip
    assert "speaker    LEAK: 1 speaker in both train and test: own b\n" in done.stdout
    assert "clean" not in done.stdout


def test_sentences_fail_where_that_is_asked(leaks, one_line):
    done = leaks("--sentences")
    one_line(done, 1, "3 sentences in both train and test (first: own x0)")
    assert "sentence   LEAK: 3 sentences" in done.stdout


def test_equal_audio_under_another_stem_fails(leaks, folder, one_line):
    manifest = Manifest.read(folder / "manifest.csv")
    twin = replace(manifest.clips[-1], audio_sha256=manifest.clips[0].audio_sha256)
    Manifest(folder, (*manifest.clips[:-1], twin)).write(folder / "manifest.csv")
    done = leaks(change=lambda rows: [replace(row, audio_sha256="") for row in rows])
    one_line(done, 1, "1 recording under two names in both train and test (first: own a0 and d2)")


def test_augmented_siblings_fail_and_more_leaks_are_counted(leaks, one_line):
    def with_copy(rows: list[Row]) -> list[Row]:
        return [*rows, replace(rows[0], copy=1, part="test")]

    done = leaks(change=with_copy)
    one_line(done, 1, "1 speaker in both train and test", "and 1 more")
    assert "sibling    LEAK: 1 recording with its augmented copies in both train and test: " in (
        done.stdout
    )
    assert "own a0 and a0 copy 1" in done.stdout


def test_json_has_each_leak_and_then_the_whole(leaks):
    done = leaks("--json", change=moved)
    assert done.returncode == 1
    speaker, sentence, whole = [json.loads(line) for line in done.stdout.splitlines()]
    assert speaker == {
        "kind": "speaker",
        "parts": ["train", "test"],
        "count": 1,
        "examples": ["own b"],
        "text": "1 speaker in both train and test",
        "fault": True,
    }
    assert (sentence["kind"], sentence["count"], sentence["fault"]) == ("sentence", 3, False)
    assert whole == {
        "manifest": "manifest.csv",
        "partition": "split.csv",
        "clips": {"train": 5, "validation": 3, "test": 4},
        "speakers": {"train": 2, "validation": 1, "test": 2},
        "missing": [],
        "unnamed": 0,
        "unspoken": 0,
        "faulted": {},
        "changed": [],
        "clean": False,
    }


def test_a_list_of_another_tool_without_digests_or_validation(ser_edge, folder, one_line):
    rows = ["part,corpus,stem", "train,own,a0", "test,own,d0", "train,own,a0_noise"]
    (folder / "theirs.csv").write_text("\n".join(rows))
    done = ser_edge("leaks", "manifest.csv", "theirs.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "clips and speakers: train 2 of 1, validation 0 of 0, test 1 of 1" in done.stdout
    (folder / "theirs.csv").write_text("\n".join([*rows, "test,own,a0_pitch"]))
    done = ser_edge("leaks", "manifest.csv", "theirs.csv", cwd=folder)
    one_line(done, 1, "1 speaker in both train and test")


def test_clips_that_were_not_scanned_prove_nothing(leaks, one_line):
    done = leaks(change=lambda rows: [*rows, Row("other", "z", "", "test")])
    one_line(done, 1, "split.csv: not in the manifest: 1 (first: other z)", "scan")
    assert "clean" not in done.stdout


def test_unknown_speakers_and_faults_are_noted(ser_edge, folder):
    found = [
        replace(clip, speaker=f"unknown:{clip.stem}") if clip.speaker == "c" else clip
        for clip in clips()
    ]
    found[0] = replace(found[0], fault="silent")
    Manifest(folder, tuple(found)).write(folder / "manifest.csv")
    done = ser_edge("leaks", "manifest.csv", "split.csv", cwd=folder)
    assert done.returncode == 0
    assert "3 clips of which nobody knows the speaker: nothing is proved of them\n" in done.stderr
    assert "1 clip with a fault (silent), which training leaves out\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["absent.csv", "split.csv"], 1, "absent.csv: no such file"),
        (["manifest.csv", "absent.csv"], 1, "absent.csv: no such file"),
        (["split.csv", "manifest.csv"], 1, "split.csv:1: the first line is not corpus,stem,path"),
        (["manifest.csv", "manifest.csv"], 1, "manifest.csv:1: the first line has no column part"),
        (["manifest.csv"], 2, "PARTITION"),
        (["."], 2, "PARTITION"),
    ],
)
def test_what_users_get_wrong_is_one_line(ser_edge, folder, one_line, words, code, word):
    one_line(ser_edge("leaks", *words, cwd=folder), code, word)


def test_every_protocol_says_of_itself_what_the_command_finds(ser_edge, folder):
    manifest = Manifest(folder, tuple(clips()))
    options = {"cross-corpus": None, "augment-then-split": {"copies": 1}}
    for name, protocol in PROTOCOLS.items():
        if options.get(name, {}) is None or name == "sentence-disjoint":
            continue
        protocol(manifest, **options.get(name, {})).write(folder / "split.csv")
        done = ser_edge("leaks", "manifest.csv", "split.csv", cwd=folder)
        assert (done.returncode == 1) == protocol.leaky, (name, done.stdout)
