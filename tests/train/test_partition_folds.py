"""Five folds of speakers: the published ones, dealt ones, and the lists in docs/folds."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import FOLDS, PARTS, speaker_folds
from tests.scripts import load_script

from .field import ALL, CREMA_D, RAVDESS, SAVEE, TESS, speakers, together
from .recordings import make_manifest

ROOT = Path(__file__).resolve().parents[2]

# --- the published folds


@pytest.mark.parametrize(
    ("fold", "test", "validation"),
    [
        (1, "02 05 14 15 16", "03 06"),
        (2, "03 06 07 13 18", "10 11"),
        (3, "10 11 12 19 20", "08 17"),
        (4, "08 17 21 23 24", "01 14"),
        (5, "01 04 09 22", "02 05"),
    ],
)
def test_ravdess_folds(fold, test, validation):
    partition = speaker_folds(RAVDESS, fold, 0)
    assert speakers(RAVDESS, partition, "test") == set(test.split())
    assert speakers(RAVDESS, partition, "validation") == set(validation.split())
    assert len(speakers(RAVDESS, partition, "train")) == 24 - len((test + " " + validation).split())


@pytest.mark.parametrize("fold", FOLDS)
def test_crema_d_folds(fold):
    partition = speaker_folds(CREMA_D, fold, 0)
    test = {int(name) for name in speakers(CREMA_D, partition, "test")}
    assert test == {number for number in range(1001, 1092) if number % 5 == fold % 5}
    rest = sorted(set(range(1001, 1092)) - test)
    validation = sorted(int(name) for name in speakers(CREMA_D, partition, "validation"))
    assert validation == rest[7::8]
    assert len(validation) == 9


def test_crema_d_speakers_keep_their_parts_in_a_subset():
    some = Manifest(CREMA_D.root, CREMA_D.clips[::3])
    whole = {(row.corpus, row.stem): row for row in speaker_folds(CREMA_D, 2, 0).rows}
    for row in speaker_folds(some, 2, 0).rows:
        assert row == whole[row.corpus, row.stem]


@pytest.mark.parametrize(
    ("fold", "test", "validation"),
    [(1, "DC", "JE"), (2, "JE", "JK"), (3, "JK", "KL"), (4, "KL", "DC"), (5, "DC", "JE")],
)
def test_savee_leaves_one_speaker_out(fold, test, validation):
    partition = speaker_folds(SAVEE, fold, 0)
    assert speakers(SAVEE, partition, "test") == {test}
    assert speakers(SAVEE, partition, "validation") == {validation}


@pytest.mark.parametrize(("fold", "test"), [(1, "YAF"), (2, "OAF"), (3, "YAF"), (4, "OAF")])
def test_tess_trains_on_one_and_tests_the_other(fold, test):
    partition = speaker_folds(TESS, fold, 0)
    assert speakers(TESS, partition, "test") == {test}
    assert partition.part("validation") == frozenset()


def test_known_folds_do_not_hang_on_the_seed():
    assert speaker_folds(ALL, 3, 0) == speaker_folds(ALL, 3, 99)


@pytest.mark.parametrize("corpus", ["ravdess", "crema-d", "savee", "tess"])
def test_every_speaker_is_tested_in_some_fold(corpus):
    tested = [speakers(ALL, speaker_folds(ALL, fold, 0), "test", corpus) for fold in FOLDS]
    assert set.union(*tested) == {c.speaker for c in ALL.clips if c.corpus == corpus}


def test_own_corpora_are_dealt_into_five_folds():
    manifest = make_manifest({("own", f"s{n}"): "" for n in range(12)})
    tests = [speakers(manifest, speaker_folds(manifest, fold, 7), "test") for fold in FOLDS]
    assert sorted(name for part in tests for name in part) == sorted(f"s{n}" for n in range(12))
    assert sorted(map(len, tests)) == [2, 2, 2, 3, 3]
    for fold, following in zip(FOLDS, [*tests[1:], tests[0]], strict=True):
        partition = speaker_folds(manifest, fold, 7)
        assert speakers(manifest, partition, "validation") == following
    assert speaker_folds(manifest, 1, 8) != speaker_folds(manifest, 1, 7)


@pytest.mark.parametrize(("count", "sizes"), [(2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_own_corpora_of_few_speakers(count, sizes):
    manifest = make_manifest({("own", f"s{n}"): "" for n in range(count)})
    for fold in FOLDS:
        partition = speaker_folds(manifest, fold, 0)
        assert tuple(len(speakers(manifest, partition, part)) for part in PARTS) == sizes


def test_a_single_speaker_beside_others_is_trained_on():
    manifest = together(SAVEE, make_manifest({("own", "me"): ""}))
    partition = speaker_folds(manifest, 1, 0)
    assert "me" in speakers(manifest, partition, "train", "own")


# --- the lists for people without this package


def committed(corpus: str) -> list[dict[str, str]]:
    with (ROOT / "docs" / "folds" / f"{corpus}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(("manifest", "corpus"), [(RAVDESS, "ravdess"), (CREMA_D, "crema-d")])
def test_the_committed_lists_are_what_the_code_does(manifest, corpus):
    rows = committed(corpus)
    assert len(rows) == 5 * len({clip.speaker for clip in manifest.clips})
    for fold in FOLDS:
        partition = speaker_folds(manifest, fold, 0)
        for part in PARTS:
            listed = {r["speaker"] for r in rows if (r["fold"], r["part"]) == (str(fold), part)}
            assert listed == speakers(manifest, partition, part), (fold, part)


def test_over_the_committed_folds_each_speaker_is_tested_once():
    for corpus in ("ravdess", "crema-d"):
        tested = [row["speaker"] for row in committed(corpus) if row["part"] == "test"]
        assert len(tested) == len(set(tested)) == {"ravdess": 24, "crema-d": 91}[corpus]


def test_the_script_writes_the_committed_lists():
    script = load_script(ROOT / "docs" / "make_folds.py")
    pages = script.pages()
    assert sorted(page.name for page in pages) == ["crema-d.csv", "ravdess.csv"]
    for page, text in pages.items():
        assert page.read_text("utf-8") == text
        assert len(text) < 10_000
