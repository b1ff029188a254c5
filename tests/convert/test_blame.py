"""A planted bad layer: found, told apart from sound ones, and left in floats."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge import cli
from ser_edge_convert import blaming
from ser_edge_convert.blame import blame
from ser_edge_convert.child import Desk, Job
from ser_edge_convert.errors import (
    BadNetwork,
    ConversionCrashed,
    ConversionFailed,
    ConversionRefused,
    RepairFailed,
)
from ser_edge_convert.gate import Gate
from ser_edge_convert.graph import read_graph
from ser_edge_convert.imitation import with_rounded_activations
from ser_edge_convert.quantiser import MARK, Quantiser
from ser_edge_convert.repair import repair
from ser_edge_convert.trials import Judge, Trials
from tests.convert import networks, planted, toy_run


class Bench:
    """A planted network in its child, and what was found out about it."""

    def __init__(self, quantiser: Quantiser) -> None:
        self.quantiser = quantiser
        logits = quantiser.logits
        everything = np.ones(logits.shape, np.bool_)
        features = networks.features(planted.CLIPS, seed=2)
        self.judge = Judge(
            features, logits, planted.answers(logits), everything, ["toy"] * len(logits)
        )
        self.told: list[tuple[str, int, int]] = []
        self.made: list[frozenset[str]] = []
        quantise = quantiser.quantise

        def counted(float_layers=()):
            self.made.append(frozenset(float_layers))
            return quantise(float_layers)

        quantiser.quantise = counted
        self.trials = Trials(quantiser, self.judge, lambda *step: self.told.append(step))
        self.blame = blame(self.trials)
        self.made_by_blame = tuple(self.made)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    desk, job = planted.desk_of(planted.network(), folder / "desk")
    with Quantiser(desk, job, folder / "log") as quantiser:
        yield Bench(quantiser)


def test_the_planted_network_is_sound_in_floats_and_not_in_int8(bench):
    assert bench.judge.before["accuracy"] == pytest.approx(0.875)
    calibrated = bench.judge.loss(bench.quantiser.calibrated)
    assert calibrated.agreement == 1.0
    assert calibrated.max_difference < 1e-3
    assert bench.blame.whole.drop > 0.2
    assert bench.blame.whole.agreement < 0.8


def test_the_two_bad_layers_head_the_ranking(bench):
    assert set(bench.blame.ranking[:2]) == set(planted.BAD)
    costs = {suspect.layer.name: suspect.cost for suspect in bench.blame.suspects}
    sound = max(cost for name, cost in costs.items() if name not in planted.BAD)
    assert min(costs[name] for name in planted.BAD) > 5 * sound


def test_neither_alone_in_floats_saves_the_file(bench):
    # What makes the pair hard to find: leave one out, and the other still ruins it.
    for suspect in bench.blame.suspects:
        if suspect.layer.name in planted.BAD:
            assert suspect.spared.drop > 0.1
            assert suspect.alone.drop > 0.1
        else:
            assert suspect.alone.drop < 0.1
            assert suspect.alone.agreement > 0.9


def test_errors_of_the_bad_layer_stand_out(bench):
    errors = {suspect.layer.name: suspect for suspect in bench.blame.suspects}
    assert errors["enter"].own.sqnr > 25
    assert errors["enter"].own.cosine > 0.998
    # Its own output hides the fault, being as wide as its widest channel; the next one's shows it.
    assert errors["shrunk"].own.sqnr < errors["enter"].own.sqnr - 15
    assert errors["leave"].own.sqnr > 15 > errors["leave"].arrived.sqnr
    assert errors["leave"].arrived.cosine < errors["leave"].own.cosine


def test_weights_and_activations_are_judged_apart(bench):
    # Every input channel shares its output's scale: small factors vanish in the weights, too.
    assert bench.blame.activations.drop > 0.1
    assert bench.blame.weights.mean_difference > 0.02
    rounded = with_rounded_activations(bench.quantiser.calibrated, bench.quantiser.quantise())
    counts = read_graph(rounded).counts
    assert counts["QUANTIZE"] == counts["DEQUANTIZE"] > len(bench.quantiser.layers)


def test_every_choice_is_made_and_judged_once(bench):
    made = len(bench.trials.found)
    assert made == 2 * len(bench.trials.names) + 1
    assert bench.trials.loss(["enter"]) is bench.trials.loss({"enter"})
    assert len(bench.trials.found) == made
    assert bench.told[-1][:1] == ("trying layers",)
    assert [done for _, done, _ in bench.told] == list(range(1, len(bench.told) + 1))


def test_a_blame_makes_no_file_twice(bench):
    names = frozenset(bench.trials.names)
    wanted = {frozenset(), *(frozenset({n}) for n in names), *(names - {n} for n in names)}
    assert len(bench.made_by_blame) == 2 * len(names) + 1
    assert set(bench.made_by_blame) == wanted


def test_the_last_file_is_kept_and_no_other(bench):
    first = bench.trials.file(["enter"])
    made = len(bench.made)
    assert bench.trials.file({"enter"}) is first
    assert len(bench.made) == made
    bench.trials.file(["leave"])
    assert bench.trials.file(["enter"]) == first
    assert len(bench.made) == made + 2


def test_the_report_is_plain_json(bench):
    values = json.loads(json.dumps(bench.blame.to_dict(), allow_nan=False))
    assert values["blame_version"] == 1
    assert [layer["name"] for layer in values["layers"]] == list(bench.trials.names)
    assert values["ranking"] == list(bench.blame.ranking)
    assert set(values["ranking_by_accuracy"]) == set(values["ranking"])
    assert values["int8"]["drop"] == pytest.approx(bench.blame.whole.drop)
    assert values["layers"][0]["own_error"]["sqnr_db"] > 0


def test_the_command_prints_a_row_a_layer_the_worst_first(bench, monkeypatch, tmp_path, capsys):
    run = toy_run.make_run(tmp_path, trained=False)
    asked = {}

    def found(run, **options):
        asked.update(options, run=run)
        return bench.blame

    monkeypatch.setattr(blaming, "blame_run", found)
    words = ["blame", str(run.path), "--target", "ethos-u", "--seed", "5", "--store", "s"]
    assert cli.run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the network:       accuracy 87.50 %")
    assert [row.split(":")[0] for row in lines[1:4]] == [
        "all in int8", "weights alone", "activations alone",
    ]  # fmt: skip
    assert [row.split()[0] for row in lines[6:]] == list(bench.blame.ranking)
    assert (asked["target"], asked["calibration_seed"], str(asked["store"])) == ("ethos-u", 5, "s")
    assert cli.run([*words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == {"run": str(run.path), "target": "ethos-u"} | bench.blame.to_dict()


def test_a_run_is_blamed_on_its_validation_clips(bench, monkeypatch, tmp_path):
    run = toy_run.make_run(tmp_path, trained=False)
    seen = {}

    @contextmanager
    def trials(self, plan, calibration, keep_log):
        seen.update(inputs=self.inputs, plan=plan, calibration=calibration)
        yield bench.trials

    monkeypatch.setattr(blaming.Bench, "trials", trials)
    found = blaming.blame_run(run, store=tmp_path / "store", calibration_size=9)
    assert found.to_dict() == bench.blame.to_dict()
    assert len(seen["calibration"].clips) == 9
    assert (seen["plan"].variant, seen["plan"].lstm) == ("int8", "fused")
    assert {clip.speaker for clip in seen["inputs"].validation} == {"s4"}
    with pytest.raises(ConversionRefused, match="does not run on gpu"):
        blaming.blame_run(run, store=tmp_path / "store", target="gpu")


def test_repair_leaves_the_two_bad_layers_in_floats(bench):
    found = repair(bench.trials, Gate(0.06), 0.9)
    assert set(found.float_layers) == set(planted.BAD)
    assert found.float_layers == planted.BAD, "in the network's order"
    assert found.before.drop > 0.2
    assert found.after.drop <= 0.06
    assert found.after.agreement >= 0.9
    assert found.tried == len(bench.trials.found)
    assert json.loads(json.dumps(found.to_dict()))["float_layers"] == list(planted.BAD)


def test_a_gate_that_nothing_passes_is_one_line(bench):
    with pytest.raises(RepairFailed, match="try --variant dynamic") as caught:
        repair(bench.trials, Gate(0.0), 1.1)
    assert "\n" not in str(caught.value)


def test_a_file_that_passes_needs_no_repair(bench):
    found = repair(bench.trials, Gate(1.0), 0.0)
    assert found.float_layers == ()
    assert found.after == found.before


def test_classes_that_change_are_repaired_too(bench):
    """Here the gate of the drop alone asks for nothing."""
    least = bench.trials.loss(planted.BAD).same
    found = repair(bench.trials, Gate(1.0, least), 0.0)
    assert found.before.same < least <= found.after.same
    assert found.float_layers == planted.BAD


def child(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(("import os, pathlib, signal, sys", *lines))]


@pytest.fixture
def job(tmp_path):
    desk = Desk(tmp_path / "desk")
    desk.folder.mkdir()
    return desk, Job("run/model.keras", "int8", "fused", True), tmp_path / "kept.log"


def test_a_child_that_crashes_is_one_line(job):
    crash = child("print('before')", "os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ConversionCrashed, match="SIGSEGV") as caught:
        Quantiser(*job, command=crash)
    assert "\n" not in str(caught.value)
    assert job[2].exists()


def test_a_child_that_says_why_is_believed(job):
    lines = (
        "folder = pathlib.Path(sys.argv[-1])",
        """(folder / "failure.json").write_text('{"line": "no good", "unfit": true}')""",
        "sys.exit(3)",
    )
    with pytest.raises(BadNetwork, match="no good"):
        Quantiser(*job, command=child(*lines))


def test_a_child_that_ends_between_two_files_is_one_line(job, bench):
    source = bench.quantiser._desk.folder
    lines = (
        "import shutil",
        "folder = pathlib.Path(sys.argv[-1])",
        "for name in ('network.tflite', 'logits.npy', 'facts.json'):",
        f"    shutil.copy(pathlib.Path({str(source)!r}) / name, folder / name)",
        f"print('noise of a library'); print({MARK!r}, 'ready', flush=True)",
        "sys.stdin.readline()",
    )
    with Quantiser(*job, command=child(*lines)) as quantiser:
        assert [layer.name for layer in quantiser.layers] == list(bench.trials.names)
        with pytest.raises(ConversionFailed, match="exit code 0 and no result"):
            quantiser.quantise(["enter"])
