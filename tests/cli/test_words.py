"""The lines that commands print of numbers, made up here: what people read, to the letter."""

from __future__ import annotations

import errno
import math
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge import conversions
from ser_edge.commands.blame import _lines as blame_lines
from ser_edge.commands.calibration import _trial_line
from ser_edge.conversions import loss_lines, made_lines, outcome_line, outcome_record
from ser_edge.devices.platforms import PLATFORMS
from ser_edge.devices.reports import lines as slot_lines
from ser_edge.devices.reports import slot_words
from ser_edge.distribution import read_distribution
from ser_edge.ledger import Scored, enter, enter_report
from ser_edge.output import clock_time, describe_os_error
from ser_edge.scores import side_by_side
from ser_edge_convert.blame import Blame, Suspect
from ser_edge_convert.calibration_sweep import Trial
from ser_edge_convert.conversion import Conversion, Outcome
from ser_edge_convert.errors import ConversionFailed, ConversionRefused, GateFailed
from ser_edge_convert.layers import Layer
from ser_edge_convert.tensor_errors import TensorError
from ser_edge_convert.trials import Loss
from ser_edge_runtime.slot_records import Slot
from ser_edge_train.scorings import AlreadyScored, read_scorings

# conversions


def report(drop=0.0123, *, kept=True, repair=None):
    def scores(uar):
        return {"clips": 1, "accuracy": uar + 0.1, "uar": uar}

    return {
        "validation": {"before": scores(0.6), "after": scores(0.6 - drop), "speakers": 2},
        "gate": {"drop": drop, "max_drop": 0.02, "min_agreement": 0.0, "agreement": 0.9},
        "agreement": {"same": 9, "clips": 10, "max_difference": 0.25},
        "plan": {"variant": "int8", "target": "cpu"},
        "file": {"bytes": 123_456} if kept else None,
        "graph": {"bytes": 99_499},
        "kept": kept,
        "repair": repair,
    }


def test_what_a_conversion_lost():
    assert loss_lines(report()) == [
        "validation: 1 clip of 2 speakers",
        "accuracy:   70.00 % before, 68.77 % after",
        "UAR:        60.00 % before, 58.77 % after",
        "loss:       1.23 points, 2 allowed",
    ]


@pytest.mark.parametrize(("drop", "words"), [(-0.00002, "0.00"), (-0.001, "-0.10"), (0.0, "0.00")])
def test_a_gain_too_small_to_be_seen_is_nothing(drop, words):
    assert loss_lines(report(drop))[-1] == f"loss:       {words} points, 2 allowed"
    made = Conversion(Path("m"), Path("m.json"), report(drop))
    assert f"  {words:>5}  9 of 10" in outcome_line(Outcome("int8", made))
    loss = Loss(0.5, 0.5, drop, 1.0, 1.0, 0.0, 0.0)
    suspect = Suspect(Layer("conv", "Conv1D", (0,), 1), None, None, loss, loss, 0.0, drop)
    lines = blame_lines(blame(suspect))
    assert all(f" {words} points lost" in line for line in lines[1:4])
    assert f"  {words:>9}  " in lines[-1]


def test_what_was_made_and_where():
    repair = {
        "float_layers": ["lstm", "dense"],
        "blame": {"layers": [{}, {}, {}]},
        "before": {"drop": 0.0513, "same": 0.912},
    }
    lines = made_lines(Conversion(Path("a.tflite"), Path("a.json"), report(repair=repair)))
    assert lines[4:] == [
        "same class: 9 of 10 clips, largest difference of a probability 0.2500",
        "repaired:   in floats: lstm, dense (2 of 3 layers); without that 5.13 points lost, "
        "91.2 % same class",
        "wrote a.tflite: int8 for cpu, 123 KB",
        "wrote a.json",
    ]
    assert conversions.repair_lines(report()) == []


@pytest.mark.parametrize(
    ("outcome", "line", "result"),
    [
        (
            Outcome("int8", Conversion(Path("a"), Path("b"), report())),
            "int8      kept            123 KB   68.77 %   58.77 %   1.23  9 of 10",
            "kept",
        ),
        (
            Outcome("int8", fault=GateFailed("g", "b", report(0.1, kept=False))),
            "int8      lost too much    99 KB   60.00 %   50.00 %  10.00  9 of 10",
            "lost too much",
        ),
        (Outcome("int16x8", fault=ConversionRefused("r")), "int16x8   not to be had", "refused"),
        (Outcome("float32", fault=ConversionFailed("f")), "float32   failed", "failed"),
    ],
)
def test_a_row_a_variant(outcome, line, result):
    assert outcome_line(outcome) == line
    record = outcome_record(outcome)
    assert (record["variant"], record["result"]) == (outcome.variant, result)
    assert (record["file"] is None) == (result != "kept")
    assert (record["fault"] is None) == (result == "kept")
    assert (record["report"] is None) == (result in ("refused", "failed"))
    if record["report"] is not None:
        assert line.index(result) == conversions.COLUMNS.index("result")
        assert line.index(" of ") - 1 == conversions.COLUMNS.index("same class")
        for unit, head in (("KB", "size"), ("%", "accuracy")):
            assert line.index(unit) + len(unit) == conversions.COLUMNS.index(head) + len(head)


def blame(*suspects):
    loss = suspects[0].alone
    return Blame({"clips": 7, "accuracy": 0.7, "uar": 0.61}, loss, loss, loss, suspects)


def test_who_is_to_blame():
    loss = Loss(0.5, 0.5, 0.0213, 0.975, 0.97, 0.01234, 0.4)
    own, arrived = TensorError(41.26, 0.99987), TensorError(math.inf, 1.0)
    first = Suspect(Layer("conv1d_12", "Conv1D", (0,), 1), own, arrived, loss, loss, 0.01, 0.005)
    second = Suspect(Layer("lstm", "LSTM", (1,), 2), None, None, loss, loss, 0.02, 0.001)
    lines = blame_lines(blame(first, second))
    assert lines[0] == "the network:       accuracy 70.00 %, UAR 61.00 % on 7 validation clips"
    assert lines[1] == (
        "all in int8:       2.13 points lost, 97.50 % same class or nearly tied, a probability "
        "moves by 0.0123, at most 0.4000"
    )
    rows = {line.split()[0]: line.split()[1:] for line in lines[6:]}
    assert rows["conv1d_12"][:2] == ["0.0100", "0.50"]
    assert rows["conv1d_12"][3:] == ["41.3", "0.9999", "inf", "1.0000"]
    assert rows["lstm"][3:] == ["-", "-", "-", "-"]
    assert len({len(line) for line in lines[5:]}) == 1, "columns stand below each other"


def test_a_trial_of_a_sweep():
    assert _trial_line(Trial(100, 90, 3, fault="x")) == "   90     3  failed"
    trial = Trial(100, 100, 0, 0.7, 0.61, -0.00001, 0.99, 0.2, {"input": 0.0012, "output": 0.0})
    assert _trial_line(trial).split() == [
        "100", "0", "70.00", "%", "61.00", "%", "0.00", "99.00", "%",
        "input", "0.12", "%,", "output", "0.00", "%",
    ]  # fmt: skip


# time and faults


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0:00"), (0.4, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (61, "1:01"),
        (3599.4, "59:59"), (3599.6, "1:00:00"), (3661, "1:01:01"), (360_000, "100:00:00"),
    ],
)  # fmt: skip
def test_a_time(seconds, words):
    assert clock_time(seconds) == words


@given(st.integers(0, 10**7))
def test_a_time_adds_up(seconds):
    *hours, minutes, rest = map(int, clock_time(seconds).split(":"))
    assert 3600 * sum(hours) + 60 * minutes + rest == seconds
    assert rest < 60
    assert minutes < 60


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(errno.ENOSPC, "No space left", "/a/b"), "/a/b: No space left"),
        (OSError(errno.ENOSPC, "No space left", b"/a/\xff"), "/a/\udcff: No space left"),
        (OSError(errno.EPIPE, "Broken pipe"), "cannot read or write: Broken pipe"),
        (OSError("odd"), "cannot read or write: odd"),
        (BrokenPipeError(), "cannot read or write: BrokenPipeError"),
    ],
)
def test_a_fault_of_the_system_in_a_line(fault, words):
    assert describe_os_error(fault) == words


# leaky and clean beside each other


def test_leaky_and_clean_scores_side_by_side():
    def scores(uar):
        return {"overall": {"speakers": 4, "clips": 9, "uar": uar, "accuracy": uar + 0.1}}

    both = {
        "scores": {"validation": scores(0.9), "test": scores(0.8), "train": scores(1.0)},
        "clean": {
            "protocol": {"name": "speaker-folds", "fold": 2},
            "scores": {"validation": scores(0.5), "test": scores(0.4)},
        },
    }
    assert side_by_side(both) == [
        "validation LEAKY UAR 90.0 %, accuracy 100.0 %; clean (speaker-folds, fold 2) UAR 50.0 %, "
        "accuracy 60.0 %",
        "test       LEAKY UAR 80.0 %, accuracy 90.0 %; clean (speaker-folds, fold 2) UAR 40.0 %, "
        "accuracy 50.0 %",
    ]
    for broken in ({}, {"scores": None}, {**both, "clean": []}, {**both, "clean": {"scores": 3}}):
        assert side_by_side(broken) == []


# the ledger

SCORED = Scored("r", "speaker-folds", 1, 0, "a" * 64, "b" * 64, "c" * 64)
GROUP = {"clips": 5, "speakers": 2, "accuracy": 0.5, "uar": 0.25, "uar_interval": None,
         "macro_f1": 0.2, "recalls": {"sad": 0.5, "calm": 0.0}}  # fmt: skip


def test_scores_are_entered_once_a_row_a_corpus_and_all(tmp_path):
    ledger = tmp_path / "l.csv"
    scores = {"corpora": {"tess": {**GROUP, "macro_f1": 0.1}}, "overall": GROUP}
    assert enter(ledger, SCORED, scores) == 2
    rows = read_scorings(ledger)
    assert [(row.corpus, row.macro_f1, row.classes) for row in rows] == [
        ("tess", 0.1, 2), ("all", 0.2, 2),
    ]  # fmt: skip
    before = ledger.read_bytes()
    assert enter(ledger, SCORED, scores) == 0
    with pytest.raises(AlreadyScored, match="with the model aaaaaaaaaaaa"):
        enter(ledger, SCORED._replace(network="d" * 64), scores)
    assert ledger.read_bytes() == before
    assert enter(ledger, SCORED._replace(network="d" * 64, fold=2), scores) == 2
    again = {
        "recipe": {"name": "r"}, "protocol": {"name": "speaker-folds", "fold": 1}, "seed": 0,
        "digests": {"model": "a" * 64, "manifest": "b" * 64, "partition": "c" * 64},
        "scores": {"test": scores},
    }  # fmt: skip
    assert enter_report(ledger, again) == 0, "a report's own digests are those of the model"


# devices


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "m (aaaaaaaaaaaa), untested"),
        ({"release": 3}, "m (aaaaaaaaaaaa), release 3, untested"),
        (
            {"tested": "litert 2", "signer": "ann"},
            "m (aaaaaaaaaaaa), self-test held: litert 2, signed by ann",
        ),
    ],
)
def test_a_slot_in_words(values, words):
    slot = {"sha256": "a" * 64, "name": "m", "release": 0, "signer": "", "tested": "", **values}
    assert slot_words(slot) == slot_words(Slot(**slot)) == words
    report = {"current": slot, "previous": None, "incoming": [], "failed": "", "signed": False,
              "answers": "a" * 64, "targets": ["cpu", "micro"], "runtime": None}  # fmt: skip
    assert slot_lines(report) == [
        f"current     {words}",
        "previous    none",
        "takes       any model for cpu and micro",
    ]


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.parametrize("interpreter", ["ai-edge-litert", "tflite-runtime"])
def test_what_a_machine_needs_beside_ser_edge(name, interpreter):
    kind = PLATFORMS[name]
    wanted = kind.requirements(interpreter)
    assert sum(line.startswith(interpreter) for line in wanted) == 1
    numpy = [line for line in wanted if line.startswith("numpy")]
    if kind.system_numpy:
        assert numpy == []
        assert "python3-numpy" in kind.depends("3.11", (2, 36))
        assert "libsndfile1" in kind.recommends()
    else:
        assert numpy == ["numpy<2" if interpreter == "tflite-runtime" else "numpy>=1.24"]
        assert kind.recommends() == []
    assert all(tag.startswith("manylinux") and tag.endswith(kind.machine) for tag in kind.tags())
    assert kind.depends("3.11", (2, 36))[:3] == [
        "python3 (>= 3.11~)", "python3 (<< 3.12~)", "libc6 (>= 2.36)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "workers", "worker", "words"),
    [
        ("multi-worker", "a:1", None, "go together"),
        ("multi-worker", None, 1, "go together"),
        ("multi-worker", "a:1,b:2", 2, "no worker 2"),
        ("multi-worker", "a:1,b", 0, "b: not host:port"),
    ],
)
def test_workers_that_do_not_go_together_are_wrong_options(strategy, workers, worker, words):
    with pytest.raises(click.UsageError, match=words):
        read_distribution(strategy, workers, worker)
