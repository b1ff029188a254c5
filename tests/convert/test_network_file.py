"""What a ``.keras`` file says of itself, read without Keras."""

from __future__ import annotations

import json
import zipfile

import pytest

from ser_edge_convert.errors import BadNetwork
from ser_edge_convert.network_file import is_recurrent, layer_classes


def layer(name: str, **config):
    return {"module": "keras.layers", "class_name": name, "config": {"name": "x", **config}}


def write(path, *layers):
    config = {"class_name": "Functional", "config": {"name": "net", "layers": list(layers)}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    return path


def test_layers_are_listed_in_order(tmp_path):
    path = write(tmp_path / "m.keras", layer("Conv1D"), layer("LSTM"), layer("Dense"))
    assert layer_classes(path) == ("Functional", "Conv1D", "LSTM", "Dense")


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN", "Bidirectional"])
def test_recurrent_layers_are_seen(tmp_path, name):
    assert is_recurrent(write(tmp_path / "m.keras", layer("Conv1D"), layer(name)))


def test_a_convolution_is_not_recurrent(tmp_path):
    assert not is_recurrent(write(tmp_path / "m.keras", layer("Conv1D"), layer("Dense")))


def test_layers_inside_layers_count(tmp_path):
    inner = layer("Functional", layers=[layer("TimeDistributed", layer=layer("GRU"))])
    assert is_recurrent(write(tmp_path / "m.keras", inner))


def test_what_only_looks_like_a_layer_does_not_count(tmp_path):
    initial = {"class_name": "LSTM", "config": {"seed": 1}}
    assert not is_recurrent(write(tmp_path / "m.keras", layer("Dense", kernel=initial)))


def test_a_missing_file(tmp_path):
    with pytest.raises(BadNetwork, match=r"none\.keras: No such file"):
        layer_classes(tmp_path / "none.keras")


def test_other_files_are_named(tmp_path):
    text = tmp_path / "text.keras"
    text.write_text("hello")
    empty = tmp_path / "empty.keras"
    with zipfile.ZipFile(empty, "w"):
        pass
    broken = tmp_path / "broken.keras"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("config.json", "{")
    for path in (text, empty, broken):
        with pytest.raises(BadNetwork, match="not a file that Keras 3 saved") as caught:
            layer_classes(path)
        assert "\n" not in str(caught.value)
