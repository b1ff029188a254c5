"""Folds and seeds pooled into one result, and runs that do not belong together."""

from __future__ import annotations

import json
import shutil
import statistics

import numpy as np
import pytest

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.evaluation import score
from ser_edge_train.pooling import NoRuns, PoolError, pool
from ser_edge_train.predictions import Predictions
from ser_edge_train.recipes import recipe_from_dict
from ser_edge_train.report import read_report, write_report
from ser_edge_train.run_directory import RunDirectory
from tests.train.fold_runs import FOLDS, fold_run, speakers_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three folds of two seeds, by (seed, fold)."""
    folder = tmp_path_factory.mktemp("folds")
    return {
        (seed, fold): fold_run(folder / f"seed{seed}-fold{fold}", fold, seed)
        for seed in (1, 2)
        for fold in FOLDS
    }


@pytest.fixture(scope="module")
def folds(runs):
    return [runs[1, fold] for fold in FOLDS]


@pytest.fixture(scope="module")
def pooled(folds):
    return pool(folds)


def test_the_pooled_scores_are_those_of_all_predictions_as_one_table(folds, pooled):
    tables = [Predictions.read(run.predictions).of_part("test") for run in folds]
    whole = tables[0].joined(tables[1]).joined(tables[2])
    allowed = read_report(folds[0].report_json)["recipe"]["allowed"]
    assert pooled["scores"] == score(whole, allowed)
    assert pooled["clips"] == pooled["answers"] == len(whole)


def test_every_clip_is_tested_once_and_every_speaker_is_resampled(pooled):
    # 24 of RAVDESS, 30 of CREMA-D, 4 of SAVEE (the last in fold 1 again), 2 of TESS.
    assert pooled["scores"]["overall"]["speakers"] == 60
    low, high = pooled["scores"]["overall"]["uar_interval"]
    assert low < pooled["scores"]["overall"]["uar"] < high


@pytest.mark.parametrize("measure", ["uar", "accuracy", "macro_f1", "ece"])
def test_the_spread_over_folds_is_that_of_their_reports(folds, pooled, measure):
    scores = [read_report(run.report_json)["scores"]["test"] for run in folds]
    values = [one["overall"][measure] for one in scores]
    found = pooled["spread"]["folds"]["overall"][measure]
    assert found["mean"] == pytest.approx(statistics.mean(values))
    assert found["sd"] == pytest.approx(statistics.stdev(values))
    assert found["count"] == 3
    for corpus in ("crema-d", "ravdess", "savee"):
        values = [one["corpora"][corpus][measure] for one in scores]
        found = pooled["spread"]["folds"]["corpora"][corpus][measure]
        assert found["mean"] == pytest.approx(statistics.mean(values))
        assert found["sd"] == pytest.approx(statistics.stdev(values))


def test_a_corpus_that_a_fold_does_not_test_is_left_out_there(pooled):
    assert pooled["spread"]["folds"]["corpora"]["tess"]["uar"]["count"] == 2
    assert "tess" not in pooled["runs"][2]["corpora"]


def test_one_seed_has_no_deviation(pooled):
    seeds = pooled["spread"]["seeds"]["overall"]["uar"]
    assert seeds == {"mean": pytest.approx(pooled["scores"]["overall"]["uar"]), "sd": None,
                     "count": 1}  # fmt: skip


def test_seeds_answer_the_same_clips_and_do_not_narrow_the_interval(runs, pooled):
    both = pool(runs.values())
    assert both["clips"] == pooled["clips"]
    assert both["answers"] == 2 * pooled["clips"]
    assert both["scores"]["overall"]["clips"] == both["answers"]
    assert both["scores"]["overall"]["speakers"] == pooled["scores"]["overall"]["speakers"]
    one, two = (pool([runs[seed, fold] for fold in FOLDS]) for seed in (1, 2))
    by_seed = [found["scores"]["overall"]["uar"] for found in (one, two)]
    assert both["spread"]["seeds"]["overall"]["uar"] == {
        "mean": pytest.approx(statistics.mean(by_seed)),
        "sd": pytest.approx(statistics.stdev(by_seed)),
        "count": 2,
    }
    by_fold = [
        statistics.mean(
            read_report(runs[seed, fold].report_json)["scores"]["test"]["overall"]["uar"]
            for seed in (1, 2)
        )
        for fold in FOLDS
    ]
    assert both["spread"]["folds"]["overall"]["uar"] == {
        "mean": pytest.approx(statistics.mean(by_fold)),
        "sd": pytest.approx(statistics.stdev(by_fold)),
        "count": 3,
    }
    assert both["protocol"]["seeds"] == [1, 2]


def test_what_was_pooled_can_be_checked(folds, pooled):
    first = read_report(folds[0].report_json)
    assert pooled["digests"]["manifest"] == first["digests"]["manifest"]
    assert pooled["digests"]["recipe"] not in {
        read_report(run.report_json)["digests"]["recipe"] for run in folds
    }
    assert [row["fold"] for row in pooled["runs"]] == [1, 2, 3]
    for row, run in zip(pooled["runs"], folds, strict=True):
        report = read_report(run.report_json)
        assert row["run"] == run.path.name
        assert row["uar"] == report["scores"]["test"]["overall"]["uar"]
        assert row["uar_interval"] == report["scores"]["test"]["overall"]["uar_interval"]
        for name, digest in row["digests"].items():
            assert digest == report["digests"][name]
    assert pooled["protocol"]["name"] == "speaker-folds"
    assert pooled["protocol"]["folds"] == [1, 2, 3]
    assert pooled["protocol"]["leaky"] is False
    assert pooled["protocol"]["speaker_disjoint"] is True
    json.dumps(pooled, allow_nan=False)


def test_the_order_of_the_runs_is_of_no_concern(runs, folds, pooled):
    assert pool(folds[::-1]) == pooled
    assert pool([str(run.path) for run in folds]) == pooled
    digests = [pool([run])["digests"]["recipe"] for run in runs.values()]
    assert len(set(digests)) == 1


def test_one_run_can_be_pooled_too(folds):
    one = pool(folds[:1])
    report = read_report(folds[0].report_json)
    expected = report["scores"]["test"]["overall"]
    assert one["scores"]["overall"]["confusion"] == expected["confusion"]
    assert one["spread"]["folds"]["overall"]["uar"] == {
        "mean": expected["uar"], "sd": None, "count": 1,
    }  # fmt: skip


def test_validation_parts_may_share_clips(folds, pooled):
    found = pool(folds, "validation")
    assert found["part"] == "validation"
    assert found["answers"] > found["clips"]
    assert found["scores"]["overall"]["clips"] == found["answers"]
    assert found["scores"]["overall"]["uar"] != pooled["scores"]["overall"]["uar"]


def test_a_leaky_run_makes_the_pool_leaky(folds, tmp_path):
    shutil.copytree(folds[0].path, tmp_path / "run")
    write_report(tmp_path / "run", leaks=["copies of training clips in test"])
    found = pool([tmp_path / "run", *folds[1:]])
    assert found["protocol"]["leaky"] is True
    assert "copies of training clips in test" in found["protocol"]["leaks"]


def test_the_worst_clips_are_those_of_all_runs(runs, pooled):
    sure = [one["confidence"] for one in pooled["mistakes"]]
    assert sure == sorted(sure, reverse=True)
    worst = [
        read_report(runs[1, fold].report_json)["mistakes"]["test"][0]["confidence"]
        for fold in FOLDS
    ]
    assert sure[0] == max(worst)
    both = pool(runs.values())["mistakes"]
    assert len({(one["corpus"], one["stem"]) for one in both}) == len(both) == 12


def refused(runs, part="test") -> str:
    with pytest.raises(PoolError) as caught:
        pool(runs, part)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fit": {"epochs": 3}}, "fit.epochs differs"),
        ({"network": {"name": "cnn1d", "filters": [8]}}, "network.name differs"),
        ({"front_end": {"clip_seconds": 2.0}}, "front_end"),
        ({"name": "other"}, "name differs"),
        ({"protocol": {"name": "speaker-disjoint", "fold": 1}}, "protocol.name differs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_another_recipe_is_refused(folds, tmp_path, changes, field):
    other = fold_run(tmp_path / "other", 2, **changes)
    message = refused([folds[0], other])
    assert "another recipe" in message
    assert field in message


def test_folds_that_were_taught_tuned_or_given_embeddings_of_their_own_are_one_recipe(
    folds, tmp_path
):
    def with_tables(place, **teacher):
        copied = RunDirectory(tmp_path / f"run{place}{len(teacher)}")
        shutil.copytree(folds[place].path, copied.path)
        own, digest = f"fold{place}", f"{place}" * 64
        tables = {
            "teacher": {"scores": own, "scores_sha256": digest, **teacher},
            "fine_tuning": {"run": own, "network_sha256": digest},
            "speaker_embedding": {"run": own, "network_sha256": digest},
        }
        values = copied.read_recipe().model_dump(mode="json", exclude_none=True) | tables
        copied.recipe.write_text(recipe_from_dict(values, own).to_toml())
        return copied

    first, second = with_tables(0), with_tables(1)
    assert pool([first, second], "validation")["clips"] > 0
    assert "(speaker_embedding differs)" in refused([folds[0], second])
    assert "(teacher.weight differs)" in refused([first, with_tables(1, weight=0.9)])


def test_other_recordings_are_refused(folds, tmp_path):
    other = fold_run(tmp_path / "other", 2)
    text = other.manifest.read_text()
    other.manifest.write_text(text.replace(",2.000000,", ",2.500000,", 1))
    write_report(other)
    assert "other recordings" in refused([folds[0], other])


def test_clips_tested_twice_with_one_seed_are_refused(folds, tmp_path):
    other = fold_run(tmp_path / "other", 2, tested=speakers_of(1))
    message = refused([folds[0], other])
    assert "with the same seed 1" in message
    assert str(folds[0].path) in message
    # Another seed divides the clips anew.
    again = fold_run(tmp_path / "again", 1, 7, tested=speakers_of(2))
    assert pool([folds[0], again])["protocol"]["seeds"] == [1, 7]


def test_a_fold_that_stands_twice_is_refused(folds, tmp_path):
    shutil.copytree(folds[0].path, tmp_path / "copy")
    assert "is fold 1 of seed 1" in refused([*folds, tmp_path / "copy"])
    assert "is fold 1 of seed 1" in refused([folds[0], folds[0]])


def test_seeds_with_other_folds_are_refused(runs):
    message = refused([runs[1, 1], runs[1, 2], runs[2, 1]])
    assert "seed 2 lacks fold 2" in message


def test_a_run_whose_test_part_was_not_scored_says_how_to_score_it(folds, tmp_path):
    other = fold_run(tmp_path / "other", 2, parts=("validation",))
    assert "ser-edge evaluate RUN --part test" in refused([folds[0], other])
    assert pool([folds[0], other], "validation")["answers"] > 0


def test_a_report_of_other_predictions_is_refused(folds, tmp_path):
    shutil.copytree(folds[0].path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    table = Predictions.read(run.predictions)
    table.where(np.arange(len(table)) > 0).write(run.predictions)
    assert "write it anew" in refused([run])


@pytest.mark.parametrize("name", ["recipe.toml", "report.json", "predictions.csv"])
def test_a_missing_file_is_one_line(folds, tmp_path, name):
    shutil.copytree(folds[0].path, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(SerEdgeError) as caught:
        pool([tmp_path / "run"])
    assert "\n" not in str(caught.value)
    assert "run" in str(caught.value)


def test_no_run_and_no_such_part_are_errors(folds):
    with pytest.raises(NoRuns):
        pool([])
    with pytest.raises(ValueError, match="part must be one of"):
        pool(folds, "train")
