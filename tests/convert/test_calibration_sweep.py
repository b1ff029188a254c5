"""Sweeps over sizes and seeds of the calibration; the converter is a stand-in."""

from __future__ import annotations

import json
import tempfile

import pytest

from ser_edge_convert.calibration_sweep import Sweep, Trial, sweep
from ser_edge_convert.errors import CalibrationError, ConversionRefused, OutputFailed
from ser_edge_convert.inputs import RunInputs
from ser_edge_train.partitions import Partition
from tests.convert import bare_run

# Noise that depends on the calibration clips, more of it the fewer they are.
NOISE = """
shown = np.load(folder / "calibration.npy")
generator = np.random.default_rng(int(1e6 * abs(float(shown.sum()))))
logits = logits + generator.normal(scale=20 / len(shown), size=logits.shape)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    return folder, RunInputs.read(bare_run.make(folder))


def swept(made, *lines, **options):
    folder, inputs = made
    command = bare_run.command(folder, *lines)
    inputs = options.pop("inputs", inputs)
    return sweep(inputs, store=folder / "store", command=command, **options)


@pytest.fixture(scope="module")
def found(made):
    told, ended = [], []
    result = swept(
        made, NOISE, sizes=(8, 40), seeds=2, progress=lambda *s: told.append(s),
        ended=ended.append,
    )  # fmt: skip
    return result, told, ended


def test_every_size_and_seed_is_tried_once(found):
    result, told, ended = found
    assert [(t.size, t.seed) for t in result.trials] == [(8, 0), (8, 1), (40, 0), (40, 1)]
    assert [t.clips for t in result.trials] == [8, 8, 40, 40]
    assert list(result.trials) == ended
    assert result.variant == "int8"
    stages = dict.fromkeys(stage for stage, _, _ in told)
    assert "1 of 4: calibration features" in stages
    assert "4 of 4: comparing" in stages
    assert sum(stage.endswith("validation features") for stage in stages) == 1


def test_the_measures_are_those_of_the_validation_clips(found, made):
    result = found[0]
    clips = made[1].validation
    assert result.validation == {"clips": len(clips), "speakers": 1}
    for trial in result.trials:
        assert trial.fault is None
        assert 0 <= trial.agreement <= 1
        assert trial.drop <= 1
        assert trial.absent == ()
    # The file is the same each time: only the network that it is compared with was shaken.
    assert len({trial.uar for trial in result.trials}) == 1
    assert len({trial.largest_difference for trial in result.trials}) == 4


def test_the_spread_is_stated_for_each_size(found):
    few, many = found[0].spread()
    assert (few["size"], few["seeds"], many["size"]) == (8, 2, 40)
    differences = [t.largest_difference for t in found[0].trials[:2]]
    assert few["largest_difference"]["least"] == min(differences)
    assert few["largest_difference"]["greatest"] == max(differences)
    assert few["largest_difference"]["mean"] == pytest.approx(sum(differences) / 2, abs=1e-6)
    assert few["largest_difference"]["sd"] == pytest.approx(
        (max(differences) - min(differences)) / 2**0.5, abs=1e-6
    )
    assert many["agreement"]["mean"] >= few["agreement"]["mean"]


def test_it_is_json(found):
    values = json.loads(json.dumps(found[0].to_dict(), allow_nan=False))
    assert values["sweep_version"] == 1
    assert len(values["trials"]) == 4
    assert values["spread"][0]["size"] == 8


def test_a_trial_that_fails_does_not_stop_the_others(made, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    line = "if len(np.load(folder / 'calibration.npy')) == 8: os.kill(os.getpid(), signal.SIGSEGV)"
    result = swept(made, line, sizes=(8, 20), seeds=1)
    failed, done = result.trials
    assert "SIGSEGV" in failed.fault
    assert failed.uar is None
    assert done.uar is not None
    few, many = result.spread()
    assert few["uar"] is None
    assert many["uar"]["sd"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["ser-edge-calibration.log"]


def test_more_clips_than_there_are_are_all_there_are(made):
    result = swept(made, sizes=(5000,), seeds=1)
    assert (result.trials[0].size, result.trials[0].clips) == (5000, 72)


def test_without_any_result_nothing_is_said_of_the_network():
    result = Sweep("int8", "cpu", {"clips": 1, "speakers": 1}, {}, (Trial(1, 1, 0, fault="x"),))
    assert result.to_dict()["spread"][0]["seeds"] == 0


def test_what_is_not_calibrated_cannot_be_swept(made):
    with pytest.raises(ConversionRefused, match="dynamic is not calibrated; choose one of int8"):
        swept(made, variant="dynamic")
    with pytest.raises(ConversionRefused, match="does not run on gpu"):
        swept(made, variant="int8", target="gpu")


def test_without_training_clips_there_is_nothing_to_sweep(made, tmp_path):
    inputs = made[1]
    kept = Partition.of(
        inputs.manifest.usable,
        lambda clip: "validation" if clip.key in inputs.partition.part("validation") else "test",
    )
    with pytest.raises(CalibrationError):
        swept(made, inputs=RunInputs(
            inputs.run, inputs.recipe, inputs.front_end, inputs.normaliser, inputs.manifest, kept
        ))  # fmt: skip


def test_a_full_disk_is_one_line(made, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunInputs, "write_features", full)
    with pytest.raises(OutputFailed, match="No space left on device") as caught:
        swept(made, sizes=(8,), seeds=1)
    assert "\n" not in str(caught.value)
