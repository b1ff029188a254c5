"""What a ``.keras`` file says of itself, read without Keras."""

from __future__ import annotations

import hashlib
import json
import zipfile

import pytest

from ser_edge_convert.errors import BadNetwork
from ser_edge_convert.network_file import (
    foreign_classes,
    is_recurrent,
    is_saved_model,
    layer_classes,
    network_digest,
)


def layer(name: str, **config):
    return {"module": "keras.layers", "class_name": name, "config": {"name": "x", **config}}


def write(path, *layers):
    config = {"name": "net", "layers": list(layers)}
    config = {"module": "keras", "class_name": "Functional", "config": config}
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


def test_layers_that_are_not_keras_own_are_named(tmp_path):
    own = layer("Mine") | {"module": "mypackage.layers"}
    bare = layer("Bare") | {"module": None}
    inner = layer("TimeDistributed", layer=own)
    path = write(tmp_path / "m.keras", layer("Dense"), inner, bare)
    assert foreign_classes(path) == ("Mine", "Bare")
    assert foreign_classes(write(tmp_path / "n.keras", layer("Dense"))) == ()


def test_a_saved_model_is_a_folder_with_its_graph(tmp_path):
    assert not is_saved_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    assert is_saved_model(tmp_path)
    assert not is_saved_model(tmp_path / "saved_model.pb")
    assert not is_recurrent(tmp_path), "nothing is known of it before TensorFlow loads it"


def test_a_digest_is_of_all_bytes_and_names(tmp_path):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "index").write_bytes(b"one")
    first = network_digest(folder)
    assert network_digest(folder) == first
    (folder / "variables" / "index").rename(folder / "variables" / "other")
    renamed = network_digest(folder)
    (folder / "variables" / "other").write_bytes(b"two")
    assert len({first, renamed, network_digest(folder)}) == 3
    assert network_digest(folder / "saved_model.pb") == hashlib.sha256(b"graph").hexdigest()


def test_a_digest_of_nothing_is_an_error(tmp_path):
    said = r"none\.keras: No such file or directory; name the network's file or folder$"
    with pytest.raises(BadNetwork, match=said):
        network_digest(tmp_path / "none.keras")
