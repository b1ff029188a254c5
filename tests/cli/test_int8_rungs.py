"""A run that int8 ruins, and the rungs out of it as commands: convert --repair, finetune."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert.graph import read_graph
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.run_directory import RunDirectory
from tests.convert import planted


@pytest.fixture(scope="module")
def line(ser_edge, tmp_path_factory):
    """The commands in their order; what each printed."""
    folder = tmp_path_factory.mktemp("rungs")
    planted.make_run(folder)
    done = {}

    def step(name, *words):
        done[name] = ser_edge(*words, cwd=folder, SER_EDGE_STORE=str(folder / "store"))

    step("repair", "convert", "run", "--variant", "int8", "--repair", "--max-drop", "0.1",
         "--calibration-size", "24", "--out", "repaired.tflite", "--json")  # fmt: skip
    step("finetune", "finetune", "run", "--run", "tuned", "--epochs", "2", "--processes", "1")
    return folder, done


def test_the_repaired_file_is_kept_and_says_what_is_in_floats(line):
    folder, done = line
    assert done["repair"].returncode == 0, done["repair"].stderr
    report = json.loads(done["repair"].stdout)
    assert set(planted.BAD) <= set(report["repair"]["float_layers"])
    assert report["repair"]["before"]["drop"] > 0.1
    assert report["gate"]["drop"] <= 0.1
    assert report["kept"]
    ranking = report["repair"]["blame"]["ranking"]
    assert set(ranking[:2]) == set(planted.BAD)
    assert len(ranking) == 5
    model = read_model_file(folder / "repaired.tflite")
    assert model.metadata.provenance["float_layers"] == report["repair"]["float_layers"]
    graph = read_graph(model.flatbuffer)
    types = [
        graph.tensors[operator.outputs[0]].dtype
        for operator in graph.operators
        if operator.name == "CONV_2D"
    ]
    assert types.count("float32") >= 2


def test_the_fine_tuned_run_is_a_run_like_any(line):
    folder, done = line
    assert done["finetune"].returncode == 0, done["finetune"].stderr
    assert "epoch 2/2" in done["finetune"].stdout
    epochs, scores = done["finetune"].stdout.split("epochs: the network rounded to int8;")
    assert "epoch 2/2" in epochs
    assert "validation all" in scores
    assert "next: ser-edge convert tuned --variant int8" in done["finetune"].stdout
    run, source = RunDirectory.open(folder / "tuned"), RunDirectory.open(folder / "run")
    recipe = run.read_recipe()
    assert recipe.fine_tuning is not None
    assert recipe.fit.epochs == 2
    assert recipe.fit.schedule.name == "cosine"
    assert recipe.fit.optimizer.learning_rate == pytest.approx(
        0.1 * source.read_recipe().fit.optimizer.learning_rate
    )
    assert run.partition.read_bytes() == source.partition.read_bytes()
    assert run.normaliser.read_text().strip() == source.normaliser.read_text().strip()
    report = json.loads(run.report_json.read_text())
    assert set(report["scores"]) == {"validation"}, "the test part is not looked at"

    import keras

    model = keras.models.load_model(run.model)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    before = keras.models.load_model(source.model)
    assert [layer.name for layer in model.layers] == [layer.name for layer in before.layers]
    assert any(
        (new != old).any()
        for new, old in zip(model.get_weights(), before.get_weights(), strict=True)
    )


def test_a_run_is_fine_tuned_once(line, ser_edge, one_line):
    folder = line[0]
    done = ser_edge("finetune", "tuned", "--run", "again", cwd=folder)
    one_line(done, 1, "was fine-tuned already", "fine-tune what it came from: run")
    assert not (folder / "again").exists()


def test_another_network_than_at_the_start_is_not_gone_on_with(line, ser_edge, one_line, tmp_path):
    for name in ("run", "tuned", "recordings"):
        shutil.copytree(line[0] / name, tmp_path / name)
    (tmp_path / "run" / "model.keras").write_bytes(b"another")
    done = ser_edge("train", "--run", "tuned", "--resume", "--data", "tuned/manifest.csv",
                    cwd=tmp_path)  # fmt: skip
    one_line(done, 1, "its network is not the one that this training began with")


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (("blame", "run", "--target", "gpu"), 2, "does not run on gpu"),
        (("convert", "run", "--variant", "dynamic", "--repair", "--out", "x.tflite"), 2,
         "dynamic cannot be repaired"),
        (("finetune", "none", "--run", "new"), 1, "no such folder"),
        (("finetune", "run", "--run", "run"), 1, "holds a run already"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(line, ser_edge, one_line, words, code, fault):
    one_line(ser_edge(*words, cwd=line[0]), code, fault)
