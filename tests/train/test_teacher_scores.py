"""A teacher's table: read strictly, blended into training labels, refused where it may leak."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_train.plan import make_plan
from ser_edge_train.recipes.schema import RecipeError, parse_recipe
from ser_edge_train.teacher_scores import COLUMNS, TeacherError, TeacherScores
from tests.train.recordings import make_clip, make_manifest
from tests.train.toys import toy_part, toy_recipe

LABELS = ("angry", "happy", "sad")
SPEAKERS = {("ravdess", f"{number:02}"): "male" for number in range(1, 25)}


def manifest():
    return make_manifest(SPEAKERS, clips_each=3)


def scores_of(clips, partition="", labels=LABELS, seed=0):
    table = np.random.default_rng(seed).dirichlet(np.ones(len(labels)), len(clips))
    return TeacherScores(labels, tuple(c.audio_sha256 for c in clips), table, partition)


def taught(path, **changes):
    return toy_recipe(teacher={"scores": str(path), **changes})


# --- the file -------------------------------------------------------------------------------


def test_a_table_comes_back_as_it_was_written(tmp_path):
    clips = [make_clip(number) for number in range(5)]
    path = tmp_path / "scores.csv"
    written = scores_of(clips, "f" * 64)
    written.write(path)
    read = TeacherScores.read(path)
    assert (read.labels, read.digests, read.partition) == (LABELS, written.digests, "f" * 64)
    np.testing.assert_allclose(read.probabilities, written.probabilities, atol=2e-6)
    np.testing.assert_allclose(read.probabilities.sum(axis=1), 1, rtol=1e-12)
    header = path.read_text().splitlines()[0]
    assert header == "audio_sha256,partition,p_angry,p_happy,p_sad"


HEAD = "audio_sha256,partition,p_angry,p_happy\n"
GOOD = "a" * 64 + ",,0.25,0.75\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the first line is not audio_sha256,partition,p_LABEL"),
        ("audio_sha256,p_angry,p_happy\n", "the first line is not"),
        ("audio_sha256,partition,p_angry\n", "the first line is not"),
        ("audio_sha256,partition,p_angry,p_\n", "the first line is not"),
        ("audio_sha256,partition,p_angry,p_angry,p_sad\n", "a label stands twice"),
        (HEAD, "holds no recording"),
        (HEAD + "a" * 64 + ",,0.25\n", "3 fields instead of 4"),
        (HEAD + "A" * 64 + ",,0.25,0.75\n", "is no digest of a recording"),
        (HEAD + GOOD + GOOD, "the recording of line 2 again"),
        (HEAD + "a" * 64 + ",abc,0.25,0.75\n", "'abc' is no digest of a partition"),
        (HEAD + GOOD + "b" * 64 + "," + "c" * 64 + ",1,0\n", "another partition than in the lines"),
        (HEAD + "a" * 64 + ",,nan,0.75\n", "'nan' is no probability"),
        (HEAD + "a" * 64 + ",,-0.25,1.25\n", "'-0.25' is no probability"),
        (HEAD + "a" * 64 + ",,1.5,0\n", "'1.5' is no probability"),
        (HEAD + "a" * 64 + ",,0.25,0.25\n", "the probabilities sum to 0.5, not to 1"),
    ],
)
def test_a_table_that_is_out_of_order_is_named_with_its_line(tmp_path, text, fault):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(TeacherError) as caught:
        TeacherScores.read(path)
    assert fault in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_one_line(tmp_path):
    with pytest.raises(TeacherError, match="no such file; make it with `ser-edge teach`"):
        TeacherScores.read(tmp_path / "none.csv")


# --- its distributions ----------------------------------------------------------------------


def test_a_distribution_keeps_to_the_classes_of_the_corpus_and_sums_to_one():
    clips = [make_clip(number) for number in range(40)]
    allowed = np.ones((40, 3), bool)
    allowed[::2, 2] = False
    soft, known = scores_of(clips).targets(clips, LABELS, {}, allowed, 1.0)
    assert known.all()
    assert not soft[~allowed].any()
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)
    whole = scores_of(clips).probabilities
    np.testing.assert_allclose(soft[1::2], whole[1::2], rtol=1e-5)
    expected = whole[::2, :2] / whole[::2, :2].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soft[::2, :2], expected, rtol=1e-5)


def test_a_temperature_flattens_and_keeps_the_order():
    clips = [make_clip(number) for number in range(20)]
    allowed = np.ones((20, 3), bool)
    table = scores_of(clips)
    plain, _ = table.targets(clips, LABELS, {}, allowed, 1.0)
    flat, _ = table.targets(clips, LABELS, {}, allowed, 4.0)
    sharp, _ = table.targets(clips, LABELS, {}, allowed, 0.25)
    np.testing.assert_array_equal(plain.argmax(axis=1), flat.argmax(axis=1))
    assert (flat.max(axis=1) < plain.max(axis=1)).all()
    assert (sharp.max(axis=1) >= plain.max(axis=1)).all()


def test_merged_emotions_add_up_and_a_class_that_the_pupil_lacks_is_left_out():
    clips = [make_clip(0)]
    labels = ("angry", "calm", "neutral", "surprise")
    table = TeacherScores(labels, (clips[0].audio_sha256,), np.array([[0.2, 0.1, 0.3, 0.4]]))
    allowed = np.ones((1, 2), bool)
    soft, _ = table.targets(clips, ("angry", "neutral"), {"calm": "neutral"}, allowed, 1.0)
    np.testing.assert_allclose(soft, [[1 / 3, 2 / 3]], rtol=1e-6)


def test_a_recording_that_the_teacher_does_not_know_has_no_distribution():
    clips = [make_clip(0), make_clip(1)]
    soft, known = scores_of(clips[:1]).targets(clips, LABELS, {}, np.ones((2, 3), bool), 1.0)
    assert known.tolist() == [True, False]
    assert not soft[1].any()


# --- in a plan ------------------------------------------------------------------------------


def test_only_training_labels_are_blended_by_the_weight(tmp_path):
    recordings = manifest()
    partition = make_plan(toy_recipe(), recordings).partition
    known = partition.clips(recordings, "train")[:-2]
    scores_of(known, partition.digest).write(tmp_path / "scores.csv")
    plan = make_plan(taught(tmp_path / "scores.csv", weight=0.25), recordings)
    clips = plan.clips("train")
    soft = plan.soft(clips)
    hard = np.eye(3)[plan.labels(clips)]
    said, _ = plan.teacher.targets(clips, LABELS, {}, plan.allowed(clips), 1.0)
    np.testing.assert_allclose(soft[:-2], 0.75 * hard[:-2] + 0.25 * said[:-2], atol=1e-6)
    np.testing.assert_array_equal(soft[-2:], hard[-2:])
    features = np.zeros((len(clips), *plan.recipe.spec.output_shape), np.float32)
    assert plan.part(clips, features).soft is None
    np.testing.assert_array_equal(plan.part(clips, features, taught=True).soft, soft)
    line = next(note for note in plan.notes() if note.startswith("teacher: "))
    assert f"{len(known)} of {len(clips)} training clips, weight 0.25" in line
    assert line.endswith("made by this partition")


def test_a_teacher_of_another_partition_is_refused(tmp_path):
    recordings = manifest()
    other = make_plan(toy_recipe(protocol__fold=2), recordings).partition
    scores_of(recordings.clips, other.digest).write(tmp_path / "scores.csv")
    with pytest.raises(TeacherError, match="may have heard who tests its pupil") as caught:
        make_plan(taught(tmp_path / "scores.csv"), recordings)
    assert other.digest[:12] in str(caught.value)
    make_plan(taught(tmp_path / "scores.csv").with_changes(fold=2), recordings)


def test_a_teacher_that_says_nothing_of_its_speakers_is_used_and_the_run_says_so(tmp_path):
    recordings = manifest()
    scores_of(recordings.clips).write(tmp_path / "scores.csv")
    plan = make_plan(taught(tmp_path / "scores.csv"), recordings)
    assert plan.recipe.teacher.learnt_by == "nobody knows"
    assert any("test speakers may be among them" in note for note in plan.notes())


def test_a_teacher_without_one_of_the_classes_is_refused(tmp_path):
    recordings = manifest()
    scores_of(recordings.clips, labels=("angry", "happy")).write(tmp_path / "scores.csv")
    with pytest.raises(TeacherError, match="has no class 'sad', only angry, happy"):
        make_plan(taught(tmp_path / "scores.csv"), recordings)


def test_a_teacher_of_other_recordings_is_refused(tmp_path):
    scores_of([make_clip(900)]).write(tmp_path / "scores.csv")
    with pytest.raises(TeacherError, match="knows none of the training recordings"):
        make_plan(taught(tmp_path / "scores.csv"), manifest())


# --- in a recipe ----------------------------------------------------------------------------


def test_the_scores_digest_is_pinned_and_another_table_refused(tmp_path):
    recordings, path = manifest(), tmp_path / "scores.csv"
    scores_of(recordings.clips).write(path)
    pinned = make_plan(taught(path), recordings).recipe
    assert pinned.teacher.scores_sha256 is not None
    assert make_plan(pinned, recordings).recipe == pinned
    again = parse_recipe(pinned.to_toml(), "again.toml")
    assert again.digest == pinned.digest
    scores_of(recordings.clips, seed=1).write(path)
    with pytest.raises(TeacherError, match="not the scores that this training began with"):
        make_plan(pinned, recordings)


def test_a_pinned_recipes_digest_is_that_of_the_scores_wherever_they_lie(tmp_path):
    recordings = manifest()
    for name in ("here.csv", "there.csv"):
        scores_of(recordings.clips).write(tmp_path / name)
    digests = {
        make_plan(taught(tmp_path / name), recordings).recipe.digest
        for name in ("here.csv", "there.csv")
    }
    assert len(digests) == 1
    assert digests != {make_plan(toy_recipe(), recordings).recipe.digest}
    other = make_plan(taught(tmp_path / "here.csv", weight=0.3), recordings).recipe.digest
    assert other not in digests


def test_another_table_takes_the_pins_of_the_former_away(tmp_path):
    recordings, path = manifest(), tmp_path / "scores.csv"
    scores_of(recordings.clips).write(path)
    pinned = make_plan(taught(path, weight=0.9), recordings).recipe
    changed = pinned.with_changes(teacher="other.csv").teacher
    assert (changed.scores, changed.weight) == ("other.csv", 0.9)
    assert (changed.scores_sha256, changed.learnt_by) == (None, None)
    assert toy_recipe().with_changes(teacher="scores.csv").teacher.scores == "scores.csv"


@pytest.mark.parametrize(
    "changes", [{"weight": 0.0}, {"weight": 1.5}, {"temperature": 0.0}, {"scores": ""}, {"x": 1}]
)
def test_a_teachers_table_is_checked(changes):
    with pytest.raises(RecipeError, match=r"teacher\."):
        taught("scores.csv", **changes)


# --- in a part ------------------------------------------------------------------------------


def test_soft_targets_take_the_place_of_labels():
    part = toy_part(toy_recipe(), 12)
    soft = np.where(part.allowed, 1 / part.allowed.sum(axis=1, keepdims=True), 0)
    changed = type(part)(part.features, part.labels, part.allowed, soft=soft.astype(np.float32))
    indices = np.array([3, 0, 7])
    np.testing.assert_array_equal(changed.targets(indices)[:, :3], changed.soft[indices])
    np.testing.assert_array_equal(changed.targets(indices)[:, 3:], part.allowed[indices])


def test_a_soft_target_on_a_class_that_the_corpus_lacks_is_refused():
    part = toy_part(toy_recipe(), 12)
    assert not part.allowed.all()
    even = np.full((12, 3), 1 / 3, np.float32)
    with pytest.raises(ValueError, match="not among its utterance's allowed classes"):
        type(part)(part.features, part.labels, part.allowed, soft=even)


def test_columns_are_those_of_the_docs():
    assert COLUMNS == ("audio_sha256", "partition")
