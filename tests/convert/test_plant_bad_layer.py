"""docs/plant_bad_layer.py: in floats its network is what it was, and int8 does not bear it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra convert")

import keras

from ser_edge_convert.child import Desk, Job, run_child
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train.networks import build
from ser_edge_train.networks.files import load_network, save_network
from tests.convert import toy_run
from tests.scripts import load_script

plant_bad_layer = load_script(Path(__file__).resolve().parents[2] / "docs" / "plant_bad_layer.py")
SHAPE, CLASSES = (24, 10), 4


def network(seed=5):
    """A network of a recipe, its batch normalisations as after some training."""
    keras.utils.set_random_seed(seed)
    model = build("cnn1d", SHAPE, CLASSES, filters=[12, 8], dropout=0.0)
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            scales = random.uniform(0.5, 2, (2, *size))
            offsets = random.normal(size=(2, *size))
            layer.set_weights([scales[0], offsets[0], 0.2 * offsets[1], scales[1]])
    return model


def clips(count=48, seed=2):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def int8(model, folder):
    """Logits of the network's int8 file."""
    desk = Desk(folder)
    np.save(desk.calibration, clips(40, seed=7))
    np.save(desk.probe, clips(1))
    path = folder / "model.keras"
    save_network(model, path)
    made = run_child(desk, Job(str(path), "int8", "fused", True), folder / "log.txt")
    graph = Interpreter(made.flatbuffer)
    return np.array([graph.invoke(clip) for clip in clips()])


def loss(logits, wanted):
    return float(np.abs(logits - wanted).mean() / wanted.std())


def test_floats_do_not_show_it_and_int8_does_not_bear_it(tmp_path):
    model = network()
    wanted = np.asarray(model(clips()))
    (tmp_path / "sound").mkdir()
    (tmp_path / "planted").mkdir()
    sound = loss(int8(model, tmp_path / "sound"), wanted)
    names = plant_bad_layer.plant(model)
    assert len(set(names)) == 2
    np.testing.assert_allclose(np.asarray(model(clips())), wanted, atol=1e-4 * np.ptp(wanted))
    assert sound < 0.05
    assert loss(int8(model, tmp_path / "planted"), wanted) > 5 * sound


@pytest.mark.parametrize("widest", [1.0, 10.0, 3e4])
def test_one_layer_is_scaled_up_and_the_next_down(widest):
    model, plain = network(), network()
    first, second = plant_bad_layer.plant(model, widest)
    changed = {
        layer.name
        for layer, other in zip(model.layers, plain.layers, strict=True)
        if any(
            not np.array_equal(a, b)
            for a, b in zip(layer.get_weights(), other.get_weights(), strict=True)
        )
    }
    places = [layer.name for layer in model.layers]
    between = places[places.index(first) : places.index(second) + 1]
    if widest == 1:
        assert not changed
        return
    assert second in changed
    assert len(changed) == 2
    assert changed <= set(between)
    kernel, was = (of.get_layer(second).get_weights()[0] for of in (model, plain))
    factors = (was / kernel)[0].mean(axis=1)
    np.testing.assert_allclose(factors[[0, -1]], [1, widest], rtol=1e-4)
    assert (np.diff(factors) > 0).all()


def test_the_run_it_is_planted_in_is_a_copy(tmp_path, capsys):
    run = toy_run.make_run(tmp_path / "toy", trained=False)
    save_network(network(), run.model)
    (run.path / "clean").mkdir()
    (run.path / "clean" / "recipe.toml").write_text("a twin that does not leak")
    before = run.model.read_bytes()
    plant_bad_layer.main(str(run.path), str(tmp_path / "planted"))
    told = capsys.readouterr().out
    assert told.startswith("planted between ")
    assert float(told.split("by ")[1].split()[0]) < 0.01
    assert run.model.read_bytes() == before
    copied = {path.name for path in (tmp_path / "planted").iterdir()}
    assert copied == {path.name for path in run.path.iterdir()} - {"clean", ".lock"}
    planted = load_network(tmp_path / "planted" / "model.keras")
    np.testing.assert_allclose(
        np.asarray(planted(clips())), np.asarray(network()(clips())), atol=0.01
    )
