"""The table of answers: the exact way to disk and back, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ser_edge_train.manifest import Clip
from ser_edge_train.predictions import (
    ClipRow,
    Predictions,
    PredictionsError,
    UnknownLabel,
    softmax,
)

LABELS = ("angry", "happy", "sad")


def row(number, **changes):
    fields = {
        "corpus": "ravdess", "stem": f"c{number}", "speaker": f"{number % 3:02}",
        "sex": "female", "part": "test", "label": LABELS[number % 3],
    }  # fmt: skip
    return ClipRow(**(fields | changes))


def table(count, seed=0, **changes):
    logits = np.random.default_rng(seed).normal(0, 3, (count, 3))
    return Predictions(LABELS, tuple(row(n, **changes) for n in range(count)), softmax(logits))


def test_a_table_survives_the_way_to_disk(tmp_path):
    before = table(50)
    before.write(tmp_path / "predictions.csv")
    after = Predictions.read(tmp_path / "predictions.csv")
    assert after == before
    assert after.probabilities.tobytes() == before.probabilities.tobytes()
    after.write(tmp_path / "again.csv")
    files = [(tmp_path / name).read_bytes() for name in ("predictions.csv", "again.csv")]
    assert files[0] == files[1]


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
               min_size=1, max_size=20)  # fmt: skip


@given(
    hnp.arrays(np.float64, (4, 3), elements=st.floats(-700, 700)), st.lists(text, min_size=4,
    max_size=4, unique=True), text,
)  # fmt: skip
def test_any_number_and_any_name_survive(tmp_path_factory, logits, stems, corpus):
    path = tmp_path_factory.mktemp("any") / "p.csv"
    rows = tuple(row(n, stem=stem, corpus=corpus) for n, stem in enumerate(stems))
    before = Predictions(LABELS, rows, softmax(logits))
    before.write(path)
    assert Predictions.read(path) == before


def test_the_file_reads_as_people_expect(tmp_path):
    one = Predictions(("a", "b"), (row(0, label="a", sex=""),), np.array([[0.25, 0.75]]))
    one.write(tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == (
        "corpus,stem,speaker,sex,part,label,p_a,p_b\nravdess,c0,00,,test,a,0.25,0.75\n"
    )


def test_copies_have_a_column_only_if_there_are_some(tmp_path):
    rows = (row(0), row(0, copy=2), row(1))
    before = Predictions(LABELS, rows, softmax(np.zeros((3, 3))))
    before.write(tmp_path / "p.csv")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "corpus,stem,speaker,sex,part,label,copy,p_angry,p_happy,p_sad"
    assert [line.split(",")[6] for line in lines[1:]] == ["0", "2", "0"]
    assert Predictions.read(tmp_path / "p.csv") == before
    assert ",copy," not in before.where([True, False, True]).to_csv()
    with pytest.raises(ValueError, match="ravdess c0 copy 2 stands twice"):
        Predictions(LABELS, (row(0, copy=2),) * 2, softmax(np.zeros((2, 3))))


@pytest.mark.parametrize("copy", ["", "-1", "1.0", "x", "12345678"])
def test_a_copy_that_is_no_number_is_refused(tmp_path, copy):
    (tmp_path / "p.csv").write_text(
        f"corpus,stem,speaker,sex,part,label,copy,p_a\nx,y,z,,test,a,{copy},1.0\n"
    )
    with pytest.raises(PredictionsError, match=rf"p\.csv:2: copy '{copy}' is not a whole number"):
        Predictions.read(tmp_path / "p.csv")


def test_an_empty_table_survives(tmp_path):
    table(0).write(tmp_path / "p.csv")
    empty = Predictions.read(tmp_path / "p.csv")
    assert len(empty) == 0
    assert empty.labels == LABELS
    assert empty.parts == ()


HEADER = "corpus,stem,speaker,sex,part,label,p_angry,p_happy,p_sad"
GOOD = "ravdess,c0,01,male,test,angry,0.5,0.25,0.25"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "the first line is not corpus,stem"),
        ("corpus,stem\n", "the first line is not corpus,stem"),
        ("corpus,stem,speaker,sex,part,label\n", "the first line is not"),
        ("corpus,stem,speaker,sex,part,label,angry\n", "the first line is not"),
        ("corpus,stem,speaker,sex,part,label,p_\n", "the first line is not"),
        (f"{HEADER},p_sad\n{GOOD},0\n", "labels must be a list of different names"),
        (f"{HEADER}\n{GOOD},1\n", "p.csv:2: 10 fields instead of 9"),
        (f"{HEADER}\n{GOOD}\n{GOOD[:-5]}\n", "p.csv:3: 8 fields instead of 9"),
        (f"{HEADER}\n{GOOD}\n{GOOD}\n", "ravdess c0 stands twice"),
        (f"{HEADER}\n{GOOD.replace('0.5', 'nan')}\n", "p.csv:2: 'nan' is no probability"),
        (f"{HEADER}\n{GOOD.replace('0.5', 'inf')}\n", "'inf' is no probability"),
        (f"{HEADER}\n{GOOD.replace('0.5', '-0.5')}\n", "'-0.5' is no probability"),
        (f"{HEADER}\n{GOOD.replace('0.5', '')}\n", "'' is no probability"),
        (f"{HEADER}\n{GOOD.replace('0.5', '0_5')}\n", "'0_5' is no probability"),
        (f"{HEADER}\n{GOOD.replace('0.5', '0.6')}\n", "ravdess c0 has no probabilities that sum"),
        (f"{HEADER}\n{GOOD.replace('0.5', '1e999')}\n", "has no probabilities that sum"),
        (f"{HEADER}\n{GOOD.replace('test', 'tset')}\n", "part 'tset' is none of train, validation"),
        (f"{HEADER}\n{GOOD.replace('angry', 'bored')}\n", "the model has no class 'bored'"),
        (f"{HEADER}\n{GOOD.replace('01', '')}\n", "speaker '' is empty"),
        (f"{HEADER}\n{GOOD.replace('01', chr(7))}\n", "control characters"),
        (f'{HEADER}\n"{GOOD}\n', "not CSV"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, content, fault):
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(PredictionsError) as caught:
        Predictions.read(path)
    message = str(caught.value)
    assert fault in message
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith("ser-edge evaluate")


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(PredictionsError, match="no such file"):
        Predictions.read(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PredictionsError, match="not UTF-8"):
        Predictions.read(tmp_path / "bytes.csv")


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="do not fit"):
        Predictions(LABELS, (row(0),), np.full((1, 2), 0.5))
    with pytest.raises(ValueError, match="do not fit"):
        Predictions(LABELS, (row(0),), np.full((2, 3), 1 / 3))


def test_probabilities_cannot_be_changed_behind_its_back():
    values = softmax(np.zeros((1, 3)))
    one = Predictions(LABELS, (row(0),), values)
    values[0, 0] = 9
    assert one.probabilities[0, 0] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="read-only"):
        one.probabilities[0, 0] = 9


def test_parts_and_truth():
    both = table(4, part="validation").joined(
        Predictions(LABELS, (row(9, part="test"),), softmax(np.zeros((1, 3))))
    )
    assert both.parts == ("validation", "test")
    assert both.truth.tolist() == [0, 1, 2, 0, 0]
    assert len(both.of_part("validation")) == 4
    assert both.of_part("test").rows[0].stem == "c9"
    assert len(both.of_part("train")) == 0
    assert both.of_part("validation") == table(4, part="validation")


def test_joined_tables_must_be_of_one_model_and_share_no_clip():
    with pytest.raises(ValueError, match="stands twice"):
        table(2).joined(table(2))
    other = Predictions(("x", "y"), (row(7, label="x"),), np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="labels differ"):
        table(2).joined(other)


def clip(stem, emotion, corpus="ravdess"):
    return Clip(corpus, stem, f"{stem}.wav", "05", "male", emotion, "", "", "", 1.0, "0" * 64, "")


def test_of_clips_renames_what_a_recipe_merges():
    clips = [clip("a", "calm"), clip("b", "sad")]
    made = Predictions.of_clips(
        clips, ["test", "train"], ("neutral", "sad"), [[0.4, 0.6], [0, 1]], {"calm": "neutral"}
    )
    assert [r.label for r in made] == ["neutral", "sad"]
    assert made.rows[0] == ClipRow("ravdess", "a", "05", "male", "test", "neutral")
    assert made.rows[0].speaker_key == ("ravdess", "05")
    with pytest.raises(UnknownLabel, match="ravdess a: the model has no class 'calm'"):
        Predictions.of_clips(clips, ["test", "train"], ("neutral", "sad"), [[0.4, 0.6], [0, 1]])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        Predictions.of_clips(clips, ["test"], ("neutral", "sad"), [[0.4, 0.6], [0, 1]])


def test_softmax_is_tempered_and_does_not_overflow():
    assert softmax([[1000.0, 1000.0]]) == pytest.approx(np.array([[0.5, 0.5]]))
    hot = softmax([[2.0, 0.0]], temperature=2.0)
    assert hot == pytest.approx(softmax([[1.0, 0.0]]))
    assert hot.dtype == np.float64
