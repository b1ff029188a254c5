"""Networks that do not fit their features, and runs that hold none of the kind that is asked."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.front_end import Normaliser
from ser_edge_train.fine_tuning import FineTuningError, fine_tuning_recipe
from ser_edge_train.networks import NetworkError, build
from ser_edge_train.networks.files import NetworkFileError
from ser_edge_train.networks.speaker_branch import branch_of
from ser_edge_train.plan import make_plan
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.speaker_verification import verify
from ser_edge_train.training import train

from .recordings import make_manifest
from .toys import toy_recipe
from .voices import emotion_recipe, speaker_recipe, voices


def files_of(run):
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


# --- a stack of convolutions ----------------------------------------------------------------


def stack(frames, *pools):
    """A conv_stack of a block for each pair of steps pooled and step."""
    blocks = tuple(
        {"filters": 2, "kernel": 3, "pooling": kind, "pool": pool, "pool_stride": stride}
        for kind, pool, stride in pools
    )
    return build("conv_stack", (frames, 4), 3, blocks=blocks)


@pytest.mark.parametrize(
    ("kind", "frames", "pools", "block", "left"),
    [
        ("max", 21, [(22, None)], 1, 21),
        ("average", 1, [(2, None)], 1, 1),
        ("max", 21, [(4, None), (6, None)], 2, 5),
        ("average", 21, [(4, 1), (19, None)], 2, 18),
        ("max", 16, [(2, None)] * 5, 5, 1),
    ],
)
def test_a_block_that_pools_more_than_is_left_is_named_and_one_step_less_fits(
    kind, frames, pools, block, left
):
    asked = [(kind, *pool) for pool in pools]
    with pytest.raises(NetworkError) as caught:
        stack(frames, *asked)
    pool = pools[block - 1][0]
    assert str(caught.value) == (
        f"network conv_stack: block {block} pools {pool} steps but has {left}; "
        "use fewer blocks, a smaller pool or longer features"
    )
    assert caught.value.exit_code == 2
    # Each of the three that it says helps; a block that pools nothing cannot fail.
    assert stack(frames, *asked[:-1], (kind, left, None)).output_shape == (None, 3)
    assert stack(frames * pool, *asked).output_shape == (None, 3)
    assert stack(frames, *asked[:-1], ("none", pool, None)).output_shape == (None, 3)
    if block > 1:
        assert stack(frames, *asked[:-1]).output_shape == (None, 3)


def test_features_without_time_are_counted_one_by_one():
    block = {"filters": 2, "kernel": 1, "pooling": "max", "pool": 6}
    assert build("conv_stack", (6,), 3, blocks=(block,)).output_shape == (None, 3)
    with pytest.raises(NetworkError, match="block 1 pools 6 steps but has 5;"):
        build("conv_stack", (5,), 3, blocks=(block,))


# --- runs of another kind -------------------------------------------------------------------


@pytest.mark.parametrize("network", [{"name": "cnn1d", "filters": [4]}, {"name": "rnn"}])
def test_a_run_whose_network_is_no_tdnn_has_no_branch_to_give(tmp_path, network):
    run = RunDirectory(tmp_path / "emotions")
    run.create(toy_recipe(network=network))
    run.model.write_bytes(b"weights")
    before = files_of(run)
    with pytest.raises(NetworkFileError) as caught:
        branch_of(emotion_recipe(run.path), Normaliser.identity(8))
    assert str(caught.value) == f"{run.model}: is no tdnn; name a run of target speaker"
    assert branch_of(toy_recipe(), Normaliser.identity(8)) is None
    # A tdnn goes on to its file, which is what is wrong then.
    speakers = RunDirectory(tmp_path / "speakers")
    speakers.create(speaker_recipe())
    speakers.normaliser.write_text(Normaliser.identity(8).to_json())
    with pytest.raises(NetworkFileError) as missing:
        branch_of(emotion_recipe(speakers.path), Normaliser.identity(8))
    assert str(missing.value).startswith(f"{speakers.model}: ")
    assert "is no tdnn" not in str(missing.value)
    assert files_of(run) == before


def test_a_fine_tuning_on_several_devices_is_refused_before_anything_is_written(tmp_path):
    manifest = make_manifest({("ravdess", f"{n:02}"): "male" for n in range(1, 25)})
    source, recipe = RunDirectory(tmp_path / "source"), toy_recipe()
    source.create(recipe)
    source.model.write_bytes(b"weights")
    make_plan(recipe, manifest).partition.write(source.partition)
    before = files_of(source)
    with pytest.raises(FineTuningError) as caught:
        train(
            fine_tuning_recipe(source), manifest, tmp_path / "run",
            store_root=tmp_path / "store", replicas=object(),
        )  # fmt: skip
    assert str(caught.value) == (
        f"{source.path}: is fine-tuned by one process alone; leave out --strategy"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["source"]
    assert files_of(source) == before


# --- without Keras --------------------------------------------------------------------------


@pytest.fixture
def unverified(tmp_path):
    """A run of target speaker with all files but a real network."""
    run = RunDirectory(tmp_path / "run")
    recipe = speaker_recipe()
    run.create(recipe)
    voices(tmp_path / "voices", takes=1).write(run.manifest)
    count = recipe.spec.feature_count
    run.normaliser.write_text(Normaliser(np.zeros(count), np.ones(count)).to_json())
    run.model.write_bytes(b"weights")
    return run


@pytest.fixture
def forgotten(monkeypatch):
    """Makes the network's module one that has not been imported yet."""
    for name in ("networks.speaker_branch", "frameworks"):
        monkeypatch.delitem(sys.modules, f"ser_edge_train.{name}")
    monkeypatch.delattr("ser_edge_train.networks.speaker_branch")


def test_speakers_are_not_compared_without_keras_and_the_extra_is_named(
    unverified, forgotten, monkeypatch, tmp_path
):
    before = files_of(unverified)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtra) as caught:
        verify(unverified, store_root=tmp_path / "store", processes=1)
    assert str(caught.value) == (
        "speaker verification needs packages that are not installed; "
        "run: pip install 'ser-edge[train]'"
    )
    assert caught.value.exit_code == 2
    assert not unverified.scratch.exists()
    assert files_of(unverified) == before


def test_another_module_that_is_missing_is_not_taken_for_an_extra(
    unverified, forgotten, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "ser_edge_train.frameworks", None)
    with pytest.raises(ModuleNotFoundError, match="frameworks"):
        verify(unverified, store_root=tmp_path / "store", processes=1)
    assert not unverified.scratch.exists()
