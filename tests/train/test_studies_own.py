"""Trials that a file names: read strictly, built on one another, done like any study's variants."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_train.recipes.schema import RecipeError
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.own import own_study
from ser_edge_train.studies.planning import plan_of_recipe, recipe_subject
from ser_edge_train.studies.study import StudyError, StudyRefused, changed
from ser_edge_train.teacher_scores import TeacherError, TeacherScores
from tests.train.recordings import make_manifest
from tests.train.toys import toy_recipe

OWN = STUDIES["own"]
SPEAKERS = {("ravdess", f"{number:02}"): "male" for number in range(1, 25)}
GOOD = """
[[trial]]
name = "wide"
summary = "more filters"
changes = { "network.filters" = [8, 8], "fit.epochs" = 7 }

[[trial]]
name = "wide-plain"
summary = "and no mixup"
base = "wide"
changes = { "augmentation.mixup" = "", "fit.epochs" = 3 }

[[trial]]
name = "costly"
summary = "only when named"
usual = false
changes = { "fit.epochs" = 900 }
"""


def written(folder, text=GOOD):
    path = folder / "trials.toml"
    path.write_text(text, encoding="utf-8")
    return path


def teacher_files(stem, seed=0):
    """Scores and embeddings of the recordings: the paths of both files, as recipes name them."""
    random = np.random.default_rng(seed)
    clips = make_manifest(SPEAKERS, clips_each=3).clips
    digests = tuple(clip.audio_sha256 for clip in clips)
    table = random.dirichlet(np.ones(3), len(clips))
    scores, embeddings = stem.with_suffix(".csv"), stem.with_suffix(".npz")
    TeacherScores(("angry", "happy", "sad"), digests, table).write(scores)
    values = random.normal(size=(len(clips), 5))
    np.savez(embeddings, path=np.array([clip.path for clip in clips]), embedding=values)
    return str(scores), str(embeddings)


def variants_of(folder, text=GOOD):
    return {each.name: each for each in own_study(OWN, written(folder, text)).variants(None, ())}


def plan_of(folder, text=GOOD, recipe=None, **options):
    subject = recipe_subject(recipe or toy_recipe(), make_manifest(SPEAKERS, clips_each=3))
    study = own_study(OWN, written(folder, text))
    return plan_of_recipe(study, subject, folder / "out", **options)


def test_the_recipe_stands_beside_the_trials_in_the_order_of_the_file(tmp_path):
    assert list(variants_of(tmp_path)) == ["recipe", "wide", "wide-plain", "costly"]
    assert variants_of(tmp_path)["recipe"].changes == {}


def test_a_trial_changes_what_it_says(tmp_path):
    recipe = changed(toy_recipe(), variants_of(tmp_path)["wide"])
    assert recipe.network.filters == (8, 8)
    assert recipe.fit.epochs == 7
    assert recipe.augmentation.mixup == toy_recipe().augmentation.mixup


def test_a_trial_begins_with_the_changes_of_its_base(tmp_path):
    recipe = changed(toy_recipe(), variants_of(tmp_path)["wide-plain"])
    assert recipe.network.filters == (8, 8)
    assert recipe.fit.epochs == 3
    assert recipe.augmentation.mixup is None


def test_an_unusual_trial_is_run_when_it_is_named(tmp_path):
    usual = {job.variant.name for job in plan_of(tmp_path).jobs}
    assert usual == {"recipe", "wide", "wide-plain"}
    named = plan_of(tmp_path, names=("costly",), seeds=1)
    assert [job.recipe.fit.epochs for job in named.jobs] == [900]


def test_a_trial_added_later_joins_and_the_others_stay(tmp_path):
    before = plan_of(tmp_path, seeds=1)
    more = GOOD + '[[trial]]\nname = "late"\nsummary = "later"\nchanges = { seed = 9 }\n'
    after = plan_of(tmp_path, more, seeds=1)
    places = {job.place: job.recipe.digest for job in after.jobs}
    assert {job.place: job.recipe.digest for job in before.jobs}.items() < places.items()


def test_a_trial_that_the_recipe_does_not_bear_is_named(tmp_path):
    text = GOOD.replace('"fit.epochs" = 900', '"fit.epochs" = 0')
    with pytest.raises(RecipeError, match=r"toy, variant costly: fit\.epochs"):
        plan_of(tmp_path, text, names=("costly",))


def test_a_usual_trial_that_the_recipe_does_not_bear_is_not_left_out_in_silence(tmp_path):
    text = GOOD.replace("network.filters", "network.stages")
    with pytest.raises(RecipeError, match=r"toy, variant wide: network\.stages: no such field"):
        plan_of(tmp_path, text)
    # Others may be run meanwhile, by name.
    assert len(plan_of(tmp_path, text, names=("recipe",), seeds=1).jobs) == 1


def test_a_name_that_no_trial_has_is_refused(tmp_path):
    with pytest.raises(StudyRefused, match="'none' is no variant of own for this recipe: recipe,"):
        plan_of(tmp_path, names=("none",))


def test_a_trials_teacher_is_pinned_as_its_run_will_say_it(tmp_path):
    scores, embeddings = teacher_files(tmp_path / "teacher")
    text = f"""
[[trial]]
name = "taught"
summary = "soft labels"
changes = {{ "teacher.scores" = "{scores}" }}

[[trial]]
name = "hinted"
summary = "and embeddings"
base = "taught"
[trial.changes]
"teacher.hint" = {{ embeddings = "{embeddings}", components = 4 }}
"""
    jobs = {job.variant.name: job.recipe.teacher for job in plan_of(tmp_path, text, seeds=1).jobs}
    assert jobs["recipe"] is None
    assert len(jobs["taught"].scores_sha256) == 64
    assert jobs["hinted"].scores_sha256 == jobs["taught"].scores_sha256
    assert len(jobs["hinted"].hint.embeddings_sha256) == 64


def test_a_trial_of_another_teacher_is_not_held_to_the_recipes(tmp_path):
    """The recipe's teacher is pinned when the study begins; the trial names other files."""
    scores, embeddings = teacher_files(tmp_path / "recipes", seed=1)
    other_scores, other_embeddings = teacher_files(tmp_path / "trials", seed=2)
    teacher = {"scores": scores, "hint": {"embeddings": embeddings, "components": 4}}
    text = f"""
[[trial]]
name = "scores"
summary = "other soft labels"
changes = {{ "teacher.scores" = "{other_scores}" }}

[[trial]]
name = "embeddings"
summary = "other embeddings"
changes = {{ "teacher.hint.embeddings" = "{other_embeddings}" }}
"""
    plan = plan_of(tmp_path, text, toy_recipe(teacher=teacher), seeds=1)
    jobs = {job.variant.name: job.recipe.teacher for job in plan.jobs}
    scores = {name: one.scores_sha256 for name, one in jobs.items()}
    assert scores["recipe"] == scores["embeddings"] != scores["scores"]
    embeddings = {name: one.hint.embeddings_sha256 for name, one in jobs.items()}
    assert embeddings["recipe"] == embeddings["scores"] != embeddings["embeddings"]


def test_files_of_a_trial_are_needed_by_who_asks_for_it(tmp_path):
    text = (
        GOOD
        + """
[[trial]]
name = "taught"
summary = "soft labels that are not there yet"
changes = { "teacher.scores" = "nowhere/scores.csv" }
"""
    )
    plan = plan_of(tmp_path, text, names=("wide",), seeds=1)
    assert [job.variant.name for job in plan.jobs] == ["wide"]
    for names in ((), ("taught",), ("*",)):
        with pytest.raises(TeacherError, match=r"nowhere/scores.csv: "):
            plan_of(tmp_path, text, names=names)
    # What was trained already is not forgotten because its file is gone.
    (plan.out / "taught").mkdir(parents=True)
    with pytest.raises(TeacherError, match=r"nowhere/scores.csv: "):
        plan_of(tmp_path, text, names=("wide",), seeds=1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "trial: field required"),
        ("trial = []\n", "trial: list should have at least 1 item"),
        ("[[trial]]\nname = \"a\"\n", "trial.0.summary: field required"),
        ("[[trial]]\nname = \"A b\"\nsummary = \"x\"\n", "trial.0.name: string should match"),
        ("[[trial]]\nname = \"a\"\nsummary = \"x\"\nchange = 1\n", "trial.0.change: extra inputs"),
        ("[[trial]]\nname = \"a\"\nsummary = \"x\"\nchanges = 1\n", "changes: input should"),
        (GOOD.replace("wide-plain", "wide"), "the name 'wide' stands twice"),
        (GOOD.replace("wide-plain", "recipe"), "the name 'recipe' stands twice"),
        (GOOD.replace('base = "wide"', 'base = "costly"'),
         "wide-plain: no trial above it is called 'costly'"),
        ("[[trial]\n", "not TOML: "),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a = " + "1" * 5000, "a number of too many digits"),
        ("trial = [{ name = 'a', summary = 's', changes = " + "{a=" * 400 + "1" + "}" * 400 + "}]",
         "nested too deeply"),
    ],
)  # fmt: skip
def test_a_file_that_is_out_of_order_is_one_line(tmp_path, text, fault):
    path = written(tmp_path, text)
    with pytest.raises(StudyError) as caught:
        own_study(OWN, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_a_missing_file_are_one_line(tmp_path):
    path = tmp_path / "trials.toml"
    with pytest.raises(StudyError, match=r"cannot be read .*; check the name"):
        own_study(OWN, path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match="not TOML"):
        own_study(OWN, path)


def test_with_noise_each_trial_is_scored_in_it_too(tmp_path):
    assert [each.name for each in plan_of(tmp_path).conditions] == ["as recorded"]
    clean, noisy = plan_of(tmp_path, recordings="voices").conditions
    assert clean == plan_of(tmp_path).conditions[0]
    assert (noisy.name, noisy.snr_db, noisy.recordings) == ("in noise", 10.0, "voices")
