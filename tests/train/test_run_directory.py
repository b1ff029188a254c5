"""Run directories: when they may be written, and that two trainings never share one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ser_edge_train.recipes import RecipeError
from ser_edge_train.run_directory import RunBusy, RunDirectory, RunError

from .toys import toy_recipe

HOLD = """
import sys
from ser_edge_train.run_directory import RunBusy, RunDirectory
try:
    with RunDirectory(sys.argv[1]).lock():
        print("locked", flush=True)
        sys.stdin.readline()
except RunBusy as busy:
    print(busy, flush=True)
"""


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "runs" / "one")


@pytest.fixture
def begun(run):
    run.create(toy_recipe())
    return run


def holder(run: RunDirectory) -> subprocess.Popen[str]:
    """Another process that tries to lock a run and holds it until it reads a line."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# --- names ----------------------------------------------------------------------------------


def test_making_one_touches_nothing(run):
    assert not run.path.exists()
    assert os.fspath(run) == str(run.path)


def test_the_names_are_those_that_others_rely_on(run):
    names = {name: path.relative_to(run.path).as_posix() for name, path in vars(run).items()
             if name != "path" and not name.startswith("_")}  # fmt: skip
    assert names == {
        "recipe": "recipe.toml",
        "manifest": "manifest.csv",
        "partition": "partition.csv",
        "front_end": "front_end.json",
        "normaliser": "normaliser.json",
        "model": "model.keras",
        "history": "history.csv",
        "checkpoints": "checkpoints",
        "checkpoint": "checkpoints/last.npz",
        "predictions": "predictions.csv",
        "report_json": "report.json",
        "report_html": "report.html",
        "scratch": ".scratch",
    }


# --- beginning ------------------------------------------------------------------------------


def test_a_run_begins_with_its_recipe(begun):
    assert begun.recipe.read_text() == toy_recipe().to_toml()
    assert begun.read_recipe() == toy_recipe()
    assert begun.checkpoints.is_dir()


def test_an_empty_folder_will_do(run):
    run.path.mkdir(parents=True)
    run.create(toy_recipe())
    assert run.recipe.is_file()


def test_what_a_kill_left_of_the_beginning_is_in_nobodys_way(run):
    run.path.mkdir(parents=True)
    (run.path / ".recipe.toml.4711.part").write_text("name =")
    run.create(toy_recipe())
    with run.lock():
        assert [entry.name for entry in run.path.glob(".recipe*")] == []


def test_the_clean_training_beside_a_leaky_one_is_a_run_of_its_own(begun):
    assert begun.clean.path == begun.path / "clean"
    assert not begun.clean.path.exists()
    begun.clean.create(toy_recipe())
    with begun.lock(), begun.clean.lock():
        assert begun.clean.read_recipe() == begun.read_recipe()


def test_a_run_is_not_begun_twice(begun):
    with pytest.raises(RunError, match=r"one: holds a run already; go on with it by --resume"):
        begun.create(toy_recipe())


def test_a_foreign_folder_stays_as_it_is(run):
    run.path.mkdir(parents=True)
    (run.path / "thesis.txt").write_text("all of it")
    with pytest.raises(RunError, match=r"one: holds other things \(thesis\.txt\); name an empty"):
        run.create(toy_recipe())
    assert [entry.name for entry in run.path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(run):
    run.path.parent.mkdir(parents=True)
    run.path.write_text("")
    with pytest.raises(RunError, match="one: cannot be used"):
        run.create(toy_recipe())


# --- opening --------------------------------------------------------------------------------


def test_a_run_can_be_opened(begun):
    assert RunDirectory.open(str(begun.path)).path == begun.path


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="absent: no such folder"):
        RunDirectory.open(tmp_path / "absent")
    with pytest.raises(RunError, match="not a run"):
        RunDirectory.open(tmp_path)


def test_a_run_whose_recipe_is_gone_or_broken_is_named(begun):
    begun.recipe.write_text("name = 3")
    with pytest.raises(RecipeError, match=r"recipe\.toml: "):
        begun.read_recipe()
    begun.recipe.write_bytes(b"\xff")
    with pytest.raises(RunError, match=r"its recipe\.toml cannot be read"):
        begun.read_recipe()


# --- going on -------------------------------------------------------------------------------


def test_the_same_recipe_can_go_on(begun):
    begun.check_resumable(toy_recipe())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": 9}, "seed"),
        ({"fit__epochs": 6}, "fit.epochs"),
        ({"fit__early_stopping": None}, "fit.early_stopping"),
        ({"front_end__level": 0.1}, "front_end.level"),
        ({"merge": {"calm": "sad"}}, "merge.calm"),
        ({"network": {"name": "cnn_lstm"}}, "network.name"),
        ({"labels": ["angry", "sad", "happy"]}, "labels"),
    ],
)
def test_another_recipe_cannot_and_the_difference_is_named(begun, changes, field):
    with pytest.raises(RunError) as fault:
        begun.check_resumable(toy_recipe(**changes))
    assert f"began with another recipe ({field} differs)" in str(fault.value)


def test_nothing_cannot_go_on(run):
    with pytest.raises(RunError, match="no such folder"):
        run.check_resumable(toy_recipe())


# --- the lock -------------------------------------------------------------------------------


def test_a_second_training_in_this_process_is_refused_and_disturbs_nothing(begun):
    with begun.lock():
        for _ in range(2):
            again = RunDirectory(begun.path).lock()
            with pytest.raises(RunBusy, match="one: another training works in it"), again:
                pytest.fail("the lock was given twice")
        # The refusals above must not have dropped it for other processes.
        with holder(begun) as other:
            assert "another training works in it" in other.stdout.readline()
    with begun.lock():
        pass


def test_another_processes_lock_holds_until_it_dies(begun):
    with holder(begun) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunBusy), begun.lock():
            pytest.fail("the lock was given twice")
        other.kill()
    with begun.lock():
        pass


def test_an_error_within_gives_the_lock_back(begun):
    with pytest.raises(KeyError), begun.lock():
        raise KeyError
    with begun.lock():
        pass


def test_the_lock_clears_what_a_killed_training_left(begun):
    drafts = [begun.path / ".model.keras.77.part", begun.checkpoints / ".last.npz.77.part"]
    kept = [begun.history, begun.checkpoint]
    for path in [*drafts, *kept]:
        path.write_bytes(b"x")
    with begun.lock():
        assert [path.exists() for path in drafts] == [False, False]
    assert all(path.exists() for path in kept)


def test_the_scratch_is_cleared_whether_there_or_not(begun):
    begun.clear_scratch()
    begun.scratch.mkdir()
    (begun.scratch / "train.npy").write_bytes(b"x")
    begun.clear_scratch()
    assert not begun.scratch.exists()
