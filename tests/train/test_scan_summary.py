"""A scan's summary as text: what is counted, what is cut short, what is said of own corpora."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.manifest import FAULTS, Manifest
from ser_edge_train.scan_summary import (
    LINES_OF_A_KIND,
    CorpusCounts,
    Fault,
    LeftOutCounts,
    ScanSummary,
    count_corpora,
    notes_on,
)
from tests.train.recordings import make_clip

NOTHING = ScanSummary((), (), 0, (), (), (), ())


def summary(**changes: object) -> ScanSummary:
    return ScanSummary(**{**NOTHING.__dict__, **changes})


def faults(kind: str, count: int) -> tuple[Fault, ...]:
    return tuple(Fault(kind, (f"own {n}",), f"own {n} is {kind}") for n in range(count))


def manifest(*clips) -> Manifest:
    return Manifest(Path("/data"), clips)


def test_of_nothing_there_is_one_line():
    assert NOTHING.lines() == ["faults: none"]
    assert NOTHING.complete
    assert NOTHING.fault_counts() == {}


def test_every_part_of_it_in_its_order():
    found = summary(
        corpora=(
            CorpusCounts("own", 5, 4, 3, {"": 1, "female": 2}, 0, 7.4996, {"angry": 2, "sad": 3}),
        ),
        faults=(*faults("silent", 1), *faults("duplicate", 2)),
        copies=3,
        left_out=(LeftOutCounts("ravdess", "song", 2),),
        unrecognised=("x.wav",),
        unreadable=("y: cannot be listed",),
        notes=("n",),
    ).lines()
    assert found == [
        "own: 5 clips (4 usable), 3 speakers (1 of unstated sex, 2 female), 7 s: angry 2, sad 3",
        "faults: 1 silent, 2 duplicate",
        "  own 0 is silent",
        "  own 0 is duplicate",
        "  own 1 is duplicate",
        "counted once: 3 further copies of clips above",
        "left out: 2 of ravdess, song",
        "not recognised: 1 recordings; put them into folders named for their labels, or list "
        "them in a table",
        "  x.wav",
        "not read: y: cannot be listed",
        "note: n",
    ]


@pytest.mark.parametrize("count", [1, LINES_OF_A_KIND, LINES_OF_A_KIND + 1, 1000])
def test_at_most_so_many_lines_of_a_kind_and_the_rest_is_counted(count):
    paths = tuple(f"{n}.wav" for n in range(count))
    found = summary(faults=faults("silent", count), unrecognised=paths, unreadable=paths).lines()
    named = [line for line in found if "is silent" in line]
    more = [line for line in found if line.startswith("  and ")]
    assert len(found) == 2 + 3 * min(count, LINES_OF_A_KIND)
    if count <= LINES_OF_A_KIND:
        assert (len(named), more) == (count, [])
    else:
        rest = count - LINES_OF_A_KIND + 1
        assert len(named) == LINES_OF_A_KIND - 1
        assert more == [
            f"  and {rest} more silent, all in the manifest",
            f"  and {rest} more not recognised",
            f"  and {rest} more not read",
        ]
    assert f"faults: {count} silent" in found


def test_faults_stand_in_the_order_of_their_kinds():
    found = summary(faults=tuple(one for kind in reversed(FAULTS) for one in faults(kind, 1)))
    assert list(found.fault_counts()) == list(FAULTS)
    said = [line.removeprefix("  own 0 is ") for line in found.lines() if " is " in line]
    assert said == list(FAULTS)


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({"unreadable": ("a",)}, False),
        ({"faults": faults("unreadable", 1)}, False),
        ({"faults": faults("silent", 3), "unrecognised": ("a",), "copies": 2}, True),
    ],
)
def test_what_could_not_be_read_makes_it_incomplete(changes, complete):
    assert summary(**changes).complete == complete


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"speakers": 0, "speakers_by_sex": {}, "unknown_speakers": 4}, "speakers unknown, 0 s"),
        (
            {"speakers": 2, "speakers_by_sex": {"male": 2}, "unknown_speakers": 3},
            "2 speakers (2 male) and 3 clips of unknown ones, 0 s",
        ),
    ],
)
def test_unknown_speakers_are_told_from_known_ones(counts, words):
    plain = {"corpus": "own", "clips": 4, "usable": 4, "seconds": 0.4, "labels": {"sad": 4}}
    line = summary(corpora=(CorpusCounts(**plain, **counts),)).lines()[0]
    assert line == f"own: 4 clips (4 usable), {words}: sad 4"


CLIPS = st.lists(
    st.tuples(
        st.sampled_from(["own", "more"]),
        st.sampled_from(["a", "b", ""]),
        st.sampled_from(["angry", "sad", "bored"]),
        st.sampled_from(["", "silent", "duplicate"]),
        st.integers(100_000, 10**9),
    ),
    max_size=20,
)


@settings(max_examples=40)
@given(CLIPS)
def test_counts_are_what_counting_clip_by_clip_gives(rows):
    """An empty name stands for a clip whose speaker nobody knows."""
    clips = [
        make_clip(n, corpus=corpus, speaker=speaker or f"unknown:clip-{n:04d}", emotion=emotion,
                  fault=fault, sex={"a": "female", "b": "male"}.get(speaker, ""),
                  seconds=micro / 10**6)
        for n, (corpus, speaker, emotion, fault, micro) in enumerate(rows)
    ]  # fmt: skip
    found = {counts.corpus: counts for counts in count_corpora(manifest(*clips))}
    assert list(found) == sorted({row[0] for row in rows})
    for corpus, counts in found.items():
        own = [row for row in rows if row[0] == corpus]
        known = {row[1] for row in own} - {""}
        labels = [row[2] for row in own]
        assert counts.clips == len(own)
        assert counts.usable == len([row for row in own if row[3] == ""])
        assert counts.speakers == len(known)
        assert sum(counts.speakers_by_sex.values()) == len(known)
        assert counts.speakers_by_sex.get("female", 0) == ("a" in known)
        assert counts.unknown_speakers == len([row for row in own if row[1] == ""])
        assert counts.seconds == pytest.approx(sum(row[4] for row in own) / 10**6, abs=1e-5)
        assert list(counts.labels.items()) == [
            (one, labels.count(one)) for one in sorted({*labels})
        ]


def test_a_speaker_of_two_corpora_is_one_in_each():
    clips = [make_clip(n, corpus=corpus) for n, corpus in enumerate(["one", "two", "two"])]
    assert [counts.speakers for counts in count_corpora(manifest(*clips))] == [1, 1]


def test_notes_on_what_is_not_proved_and_not_canonical():
    found = notes_on(
        manifest(
            make_clip(1, corpus="a", speaker="unknown:clip-0001"),
            make_clip(2, corpus="a", speaker="unknown:clip-0002", emotion="bored"),
            make_clip(3, corpus="b", emotion="tired"),
            make_clip(4, corpus="b", emotion="bored"),
            make_clip(5, corpus="c"),
        )
    )
    assert len(found) == 3
    assert found[0].startswith("a: nobody says who speaks in 2 clips; ")
    assert "not proven speaker-disjoint" in found[0]
    assert "a column speaker" in found[0]
    assert found[1:] == [
        "a: labels beside the canonical ones: bored",
        "b: labels beside the canonical ones: bored, tired",
    ]
    assert all("\n" not in note for note in found)
