"""Clips and manifests: order, identity, digest, the CSV and the root beside it."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.errors import ManifestError
from ser_edge_train.manifest import (
    CANONICAL_LABELS,
    COLUMNS,
    CORPUS_LABELS,
    FAULTS,
    Clip,
    Manifest,
    is_manifest,
)
from ser_edge_train.rows import is_inside, is_plain
from tests.train.recordings import make_clip, make_manifest

ROOT = Path("/data")

plain = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
names = plain.map(lambda text: f"x{text}x")


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    return Clip(
        corpus=draw(names),
        stem=draw(names),
        path=draw(plain.map(lambda text: "a/x" + text.replace("..", "")).filter(is_inside)),
        speaker=draw(names),
        sex=draw(st.sampled_from(["", "female", "male"])),
        emotion=draw(st.sampled_from([*CANONICAL_LABELS, "bored"])),
        intensity=draw(plain),
        sentence=draw(plain),
        take=draw(plain),
        seconds=draw(st.integers(0, 10**12)) / 10**6,
        audio_sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        fault=draw(st.sampled_from(["", *FAULTS])),
    )


manifests = st.lists(clips(), max_size=6, unique_by=lambda clip: clip.key).map(
    lambda found: Manifest(ROOT, tuple(found))
)


def test_the_columns_are_the_designs():
    assert COLUMNS == (
        "corpus",
        "stem",
        "path",
        "speaker",
        "sex",
        "emotion",
        "intensity",
        "sentence",
        "take",
        "seconds",
        "audio_sha256",
        "fault",
    )


def test_each_corpus_has_canonical_labels_in_their_order():
    for labels in CORPUS_LABELS.values():
        assert list(labels) == [label for label in CANONICAL_LABELS if label in labels]


@given(manifests)
def test_what_is_written_is_read_back(tmp_path_factory, manifest):
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    manifest.write(path)
    again = Manifest.read(path)
    assert again == manifest
    assert again.digest == manifest.digest
    assert again.to_csv() == manifest.to_csv() == path.read_bytes().decode()


@given(manifests, st.randoms())
def test_order_of_clips_does_not_matter(manifest, rng: random.Random):
    shuffled = list(manifest.clips)
    rng.shuffle(shuffled)
    other = Manifest(ROOT, tuple(shuffled))
    assert other == manifest
    assert other.to_csv() == manifest.to_csv()


def test_rows_lie_in_the_order_of_corpus_and_stem():
    found = [make_clip(1, corpus="b"), make_clip(2, corpus="a"), make_clip(0, corpus="b")]
    manifest = Manifest(ROOT, tuple(found))
    assert [clip.key for clip in manifest.clips] == [
        ("a", "clip-0002"),
        ("b", "clip-0000"),
        ("b", "clip-0001"),
    ]


def test_the_csv_in_bytes():
    clip = make_clip(1, sentence='he said "no", twice')
    assert Manifest(ROOT, (clip,)).to_csv() == (
        "corpus,stem,path,speaker,sex,emotion,intensity,sentence,take,seconds,audio_sha256,fault\n"
        'own,clip-0001,own/clip-0001.wav,s1,,angry,,"he said ""no"", twice",,1.500000,'
        f"{1:064x},\n"
    )


def test_digest_names_the_clips_not_their_place():
    clip = make_clip(1)
    one = Manifest(ROOT, (clip,))
    assert Manifest(Path("/else"), (replace(clip, path="elsewhere.wav"),)).digest == one.digest
    for change in ({"emotion": "sad"}, {"audio_sha256": f"{2:064x}"}, {"fault": "silent"}):
        assert Manifest(ROOT, (replace(clip, **change),)).digest != one.digest
    assert len(one.digest) == 64


def test_the_csv_holds_no_machines_path(tmp_path):
    manifest = Manifest(tmp_path / "corpora", (make_clip(1),))
    path = tmp_path / "manifest.csv"
    manifest.write(path)
    assert str(tmp_path) not in path.read_text()
    assert (tmp_path / "manifest.root").read_text() == f"{tmp_path / 'corpora'}\n"


def test_a_manifest_written_into_a_run_keeps_its_root(tmp_path):
    first = tmp_path / "manifest.csv"
    Manifest(tmp_path / "corpora", (make_clip(1),)).write(first)
    run = tmp_path / "run"
    run.mkdir()
    Manifest.read(first).write(run / "manifest.csv")
    again = Manifest.read(run / "manifest.csv")
    assert again.path_of(again.clips[0]) == tmp_path / "corpora" / "own" / "clip-0001.wav"


def test_a_manifest_that_came_alone(tmp_path):
    path = tmp_path / "manifest.csv"
    Manifest(tmp_path / "gone", (make_clip(1),)).write(path)
    (tmp_path / "manifest.root").unlink()
    assert Manifest.read(path).root == tmp_path
    assert Manifest.read(path, root="/corpora").root == Path("/corpora")


def test_a_relative_root_starts_at_the_manifest(tmp_path):
    path = tmp_path / "manifest.csv"
    Manifest(tmp_path, (make_clip(1),)).write(path)
    (tmp_path / "manifest.root").write_text("../corpora\n")
    assert Manifest.read(path).root == tmp_path / ".." / "corpora"


def test_usable_leaves_faults_out():
    found = [make_clip(n, fault=fault) for n, fault in enumerate(["", *FAULTS])]
    manifest = Manifest(ROOT, tuple(found))
    assert [clip.stem for clip in manifest.usable] == ["clip-0000"]


def test_select_keeps_named_corpora_and_refuses_strangers():
    manifest = make_manifest({("a", "s"): "", ("b", "s"): ""})
    assert manifest.select(["b"]).corpora == ("b",)
    assert manifest.select(["b", "a"]) == manifest
    with pytest.raises(ManifestError, match=r"no clip of c, d \(here: a, b\); scan.*cnn1d-quick"):
        manifest.select(["d", "a", "c"])


def test_labels_of_known_and_own_corpora():
    found = (
        make_clip(1, emotion="sad"),
        make_clip(2, emotion="bored"),
        make_clip(3, corpus="tess"),
    )
    manifest = Manifest(ROOT, found)
    assert manifest.labels_of("own") == ("bored", "sad")
    assert manifest.labels_of("tess") == CORPUS_LABELS["tess"]


def test_speakers_are_known_or_stand_for_themselves():
    assert make_clip(speaker="anna").speaker_known
    assert not make_clip(speaker="unknown:angry/1").speaker_known
    assert make_clip().speaker_key == ("own", "s1")


def test_manifests_and_clips_do_not_change():
    manifest = Manifest(ROOT, (make_clip(1),))
    with pytest.raises(FrozenInstanceError):
        manifest.root = Path("/")  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        manifest.clips[0].fault = "silent"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"corpus": ""}, "corpus '' is empty"),
        ({"stem": ""}, "stem '' is empty"),
        ({"speaker": ""}, "speaker '' is empty"),
        ({"speaker": " s"}, "speaker ' s' is a name that begins"),
        ({"path": ""}, "path '' is not a path below"),
        ({"path": "/etc/passwd"}, "path '/etc/passwd' is not a path below"),
        ({"path": "a/../../b"}, "path 'a/../../b' is not a path below"),
        ({"path": "a\\..\\b"}, "is not a path below"),
        ({"path": "C:\\b"}, "is not a path below"),
        ({"sex": "m"}, "sex 'm' is not female, male or empty"),
        ({"emotion": "Angry"}, "emotion 'Angry' is not a lower-case word"),
        ({"emotion": ""}, "emotion '' is not"),
        ({"emotion": "bored", "corpus": "tess"}, "emotion 'bored' is none of tess's"),
        ({"seconds": float("nan")}, "seconds 'nan' is not a length"),
        ({"seconds": float("inf")}, "seconds 'inf' is not a length"),
        ({"seconds": -1.0}, "seconds '-1.0' is not a length"),
        ({"audio_sha256": "ab"}, "audio_sha256 'ab' is not 64"),
        ({"audio_sha256": "A" * 64}, "is not 64"),
        ({"audio_sha256": ""}, "is not 64"),
        ({"fault": "loud"}, "fault 'loud' is not one of unreadable, too-short, silent"),
        ({"sentence": "a\nb"}, "control characters"),
        ({"stem": "a\ud800"}, "control characters"),
    ],
)
def test_a_clip_that_no_manifest_may_hold(change, says):
    with pytest.raises(ManifestError) as caught:
        Manifest(ROOT, (make_clip(1, **change),))
    message = str(caught.value)
    assert says in message
    assert message.isprintable() or "\\ud800" not in says
    assert "\n" not in message


def test_an_unreadable_clip_needs_no_digest():
    Manifest(ROOT, (make_clip(1, audio_sha256="", fault="unreadable"),))


def test_one_corpus_and_stem_twice():
    with pytest.raises(ManifestError, match="own clip-0001 stands twice"):
        Manifest(ROOT, (make_clip(1), make_clip(1, path="other.wav")))


def test_is_manifest(tmp_path):
    path = tmp_path / "manifest.csv"
    Manifest(ROOT, ()).write(path)
    assert is_manifest(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert is_manifest(path)
    path.write_bytes(b"path,emotion\n")
    assert not is_manifest(path)
    path.write_bytes(b"\0" * 1000)
    assert not is_manifest(path)
    assert not is_manifest(tmp_path)
    assert not is_manifest(tmp_path / "missing.csv")


@given(st.text(max_size=8))
def test_plain_text_fits_a_line(text):
    assert not is_plain(text) or len(text.splitlines()) <= 1
    assert is_plain(text) or not text.isprintable()


# --- memory ---------------------------------------------------------------------------------


def test_what_stands_in_many_rows_is_kept_once(tmp_path):
    speakers = {("own", f"speaker{number}"): "female" for number in range(3)}
    make_manifest(speakers, clips_each=4).write(tmp_path / "m.csv")
    clips = Manifest.read(tmp_path / "m.csv").clips
    for column in ("corpus", "speaker", "sex", "emotion"):
        values = [getattr(clip, column) for clip in clips]
        assert len({id(value) for value in values}) == len(set(values))


def test_a_row_takes_less_than_a_kilobyte_while_it_is_read(tmp_path):
    """Hundreds of thousands of clips must not need gigabytes."""
    many = tuple(make_clip(number) for number in range(3000))
    Manifest(tmp_path, many).write(tmp_path / "m.csv")
    tracemalloc.start()
    manifest = Manifest.read(tmp_path / "m.csv")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(manifest.clips) == 3000
    assert kept < 600 * 3000
    assert peak < 1000 * 3000
