"""From a study to its runs: who is scored, which runs there are, what a folder may hold."""

from __future__ import annotations

import json

import pytest

from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.plan import LeakyPartition, make_plan
from ser_edge_train.recipes import RecipeError
from ser_edge_train.run_directory import RunError
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.folder import SCORES, StudyFolder
from ser_edge_train.studies.models import model_subject, plan_of_model
from ser_edge_train.studies.planning import folder_name, plan_of_recipe, recipe_subject
from ser_edge_train.studies.study import Study, StudyError, StudyRefused, Variant

from .studied import PAIR, study_recipe, tones

BROKEN = Study(
    "broken",
    "Can it?",
    "One of them cannot.",
    lambda recipe, corpora: (
        Variant("plain", "as it is"),
        Variant("wide", "more masks than features",
                {"augmentation.spec_augment.frequency_width": 99}),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def subject(manifest):
    return recipe_subject(study_recipe(), manifest)


def plan(subject, out, study=PAIR, **how):
    return plan_of_recipe(study, subject, out, **how)


# --- who is scored --------------------------------------------------------------------------


def test_validation_clips_are_scored_and_no_others(subject, manifest):
    wanted = make_plan(study_recipe(), manifest)
    assert list(subject.clips) == wanted.clips("validation")
    tested = {clip.key for clip in wanted.clips("test")}
    trained = {clip.key for clip in wanted.clips("train")}
    assert not {clip.key for clip in subject.clips} & (tested | trained)
    assert subject.notes[-1].startswith("test: ")


def test_every_seed_divides_the_speakers_alike(manifest, tmp_path):
    """With a protocol that draws speakers a seed would otherwise choose others."""
    recipe = study_recipe(protocol={"name": "speaker-disjoint"})
    drawn = {make_plan(recipe.with_changes(seed=seed), manifest).partition for seed in range(5)}
    assert len(drawn) > 1
    held = recipe_subject(recipe, manifest)
    jobs = plan(held, tmp_path, seeds=5).jobs
    assert len({job.recipe.seed for job in jobs}) == 5
    assert {make_plan(job.recipe, manifest).partition for job in jobs} == {held.partition}
    assert held.partition == make_plan(recipe, manifest).partition


def test_a_protocol_that_leaks_is_refused(manifest):
    with pytest.raises(StudyRefused, match=r"protocol random leaks.*--protocol speaker-folds"):
        recipe_subject(study_recipe(protocol={"name": "random"}), manifest)


def test_a_partition_that_leaks_is_refused(manifest):
    parts = ("train", "validation", "test")
    leaky = Partition.of(manifest.clips, lambda clip: parts[int(clip.take) % 2])
    with pytest.raises(LeakyPartition, match="speakers in both train and validation"):
        recipe_subject(study_recipe(), manifest, leaky)


def test_a_given_partition_divides_every_run(manifest, tmp_path):
    def part_of(clip):
        return {"speaker0": "validation", "speaker1": "test"}.get(clip.speaker, "train")

    found = recipe_subject(study_recipe(), manifest, Partition.of(manifest.clips, part_of))
    assert {clip.speaker for clip in found.clips} == {"speaker0"}
    made = plan(found, tmp_path)
    assert made.partition == found.partition
    assert {job.recipe.protocol.name for job in made.jobs} == {"given"}
    assert plan(recipe_subject(study_recipe(), manifest), tmp_path).partition is None


def test_speaker_recipes_are_refused(manifest):
    recipe = study_recipe(
        target="speaker", labels=None, network={"name": "tdnn"}, augmentation=None,
    )  # fmt: skip
    with pytest.raises(StudyRefused, match="its classes are speakers"):
        recipe_subject(recipe, manifest)


def test_recordings_without_validation_speakers_are_refused(manifest):
    alone = [clip for clip in manifest.clips if clip.speaker in ("speaker0", "speaker1")]
    one = Manifest(manifest.root, tuple(alone)).select(["one"])
    recipe = study_recipe(protocol={"name": "leave-one-speaker-out"})
    with pytest.raises(StudyRefused, match="no speaker validates with leave-one-speaker-out"):
        recipe_subject(recipe, one)


# --- which runs -----------------------------------------------------------------------------


def test_a_run_for_each_usual_variant_and_seed(subject, tmp_path):
    made = plan(subject, tmp_path / "out", seeds=2)
    places = [job.place.relative_to(tmp_path / "out").as_posix() for job in made.jobs]
    assert places == ["plain/seed-3", "plain/seed-4", "small/seed-3", "small/seed-4"]
    assert [job.recipe.seed for job in made.jobs] == [3, 4, 3, 4]
    assert [job.recipe.network.filters for job in made.jobs] == [(4,), (4,), (2,), (2,)]
    assert [job.name for job in made.jobs][:2] == ["plain, seed 3", "plain, seed 4"]
    assert not (tmp_path / "out").exists()


def test_variants_are_named_by_name_and_by_pattern(subject, tmp_path):
    def names(*words):
        return [job.variant.name for job in plan(subject, tmp_path, seeds=1, names=words).jobs]

    assert names("small") == ["small"]
    assert names("extra", "plain") == ["plain", "extra"]
    assert names("*") == ["plain", "small", "extra"]
    assert names("s*", "plain") == ["plain", "small"]


def test_an_unknown_variant_lists_the_known(subject, tmp_path):
    with pytest.raises(StudyRefused, match=r"'tiny' is no variant of pair.*: plain, small, extra$"):
        plan(subject, tmp_path, names=["tiny"])


def test_a_variant_that_the_recipe_does_not_bear_is_left_out_unless_it_is_named(subject, tmp_path):
    made = plan(subject, tmp_path, BROKEN, seeds=1)
    assert [job.variant.name for job in made.jobs] == ["plain"]
    ((name, reason),) = made.left_out
    assert name == "wide"
    assert "frequency_width" in reason
    with pytest.raises(RecipeError, match=r"variant wide: .*frequency_width"):
        plan(subject, tmp_path, BROKEN, names=["wide"])


def test_a_seed_beyond_the_largest_begins_again(manifest, tmp_path):
    last = 2**32 - 1
    found = recipe_subject(study_recipe(seed=last), manifest)
    assert [job.seed for job in plan(found, tmp_path, seeds=2).jobs][:2] == [last, 0]


def test_a_corpus_of_any_name_is_a_folder_in_the_studys(tmp_path):
    corpora = {"a/b": ("angry", "happy"), "..": ("angry", "happy")}
    manifest = tones(tmp_path / "recordings", corpora)
    found = recipe_subject(study_recipe(labels=["angry", "happy"]), manifest)
    made = plan(found, tmp_path / "out", STUDIES["corpora"], seeds=1)
    for job in made.jobs:
        inside = job.place.resolve().relative_to((tmp_path / "out").resolve())
        assert len(inside.parts) == 2
    assert [folder_name(name) for name in ("1.5s", "a b", "..", "study.csv", ".scratch")] == [
        "1.5s", "a b", "%2E%2E", "study%2Ecsv", "%2Escratch",
    ]  # fmt: skip


def test_one_division_serves_all_corpora(subject, manifest, tmp_path):
    made = plan(subject, tmp_path, STUDIES["corpora"], seeds=1)
    assert made.partition == subject.partition
    for job in made.jobs:
        own = make_plan(job.recipe, manifest, made.partition).partition
        assert set(own.rows) <= set(subject.partition.rows)


# --- what a folder may hold -----------------------------------------------------------------


def folder_with(plan_of, identity):
    plan_of.out.mkdir(parents=True)
    (plan_of.out / "study.json").write_text(json.dumps({"identity": identity}))


def test_a_new_and_an_empty_folder_will_do(subject, tmp_path):
    StudyFolder(plan(subject, tmp_path / "new")).check()
    StudyFolder(plan(subject, tmp_path)).check()


def test_a_folder_of_other_things_is_refused(subject, tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(StudyError, match=r"holds other things \(holiday.jpg\); name another"):
        StudyFolder(plan(subject, tmp_path)).check()


def test_a_file_in_place_of_the_folder_is_refused(subject, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StudyError, match="cannot be used"):
        StudyFolder(plan(subject, tmp_path / "out")).check()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("study", "noise", "holds the study noise"),
        ("recordings", "0" * 64, "began with other recordings"),
        ("partition", "0" * 64, "began with another partition"),
        ("model", "0" * 64, "began with another model"),
    ],
)
def test_the_folder_of_another_study_is_refused(subject, tmp_path, name, value, words):
    made = plan(subject, tmp_path / "out")
    folder_with(made, StudyFolder(made).identity() | {name: value})
    with pytest.raises(StudyError, match=f"{words}; name the same or name another folder"):
        StudyFolder(made).check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"identity": 3}', '{"identity": {}}'])
def test_a_study_json_that_is_none_is_refused(subject, tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(StudyError, match=r"study.json: is no study's; name another folder"):
        StudyFolder(plan(subject, tmp_path)).check()


def test_a_run_of_another_recipe_is_refused_and_the_field_named(subject, manifest, tmp_path):
    made = plan(subject, tmp_path / "out")
    folder_with(made, StudyFolder(made).identity())
    made.jobs[-1].run.create(made.jobs[-1].recipe.with_changes(epochs=7))
    with pytest.raises(RunError, match=r"seed-5: began with another recipe \(fit.epochs differs\)"):
        StudyFolder(made).check()
    # Of a variant that this call does not ask for, too: the table would hold both.
    with pytest.raises(RunError, match=r"fit\.epochs differs"):
        StudyFolder(plan(subject, tmp_path / "out", names=["plain"])).check()


def test_scores_count_only_for_what_they_were_made_of(subject, manifest, tmp_path):
    made = plan(subject, tmp_path)
    folder, job = StudyFolder(made), made.jobs[0]
    assert folder.state(job) == "to do"
    job.run.create(job.recipe)
    assert folder.state(job) == "begun"
    folder.keep(job, {"as recorded": {}}, {})
    assert folder.state(job) == "finished"
    assert [result.job for result in folder.results()] == [job]
    noisy = plan(subject, tmp_path, STUDIES["noise"], names=["recipe"])
    (noisy.jobs[0].place).mkdir(parents=True)
    (noisy.jobs[0].place / SCORES).write_bytes((job.place / SCORES).read_bytes())
    assert StudyFolder(noisy).result(noisy.jobs[0]) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"of": {}}', "{\ud800"])
def test_damaged_scores_are_no_scores(subject, tmp_path, text):
    made = plan(subject, tmp_path)
    made.jobs[0].place.mkdir(parents=True)
    (made.jobs[0].place / SCORES).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert StudyFolder(made).result(made.jobs[0]) is None


# --- finished models ------------------------------------------------------------------------


def test_studies_that_train_take_no_finished_model(subject, tmp_path):
    with pytest.raises(StudyRefused, match="features compares trainings: name a recipe"):
        plan_of_model(STUDIES["features"], subject, tmp_path)


def test_a_model_file_needs_recordings_and_a_partition(manifest, tmp_path):
    with pytest.raises(StudyRefused, match=r"does not say which clips validate.*--partition"):
        model_subject(tmp_path / "model.tflite", manifest)


def test_a_run_that_was_stopped_is_no_finished_model(subject, tmp_path):
    job = plan(subject, tmp_path).jobs[0]
    job.run.create(job.recipe)
    with pytest.raises(StudyError, match=r"no finished model .*finish it: ser-edge train --resume"):
        model_subject(job.place)
