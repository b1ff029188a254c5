"""The library behind the effects: its global generators, its absence, its own dice."""

from __future__ import annotations

import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from ser_edge_runtime.errors import MissingExtra
from ser_edge_train.augmentation import effects
from ser_edge_train.augmentation.effects import APPLY
from ser_edge_train.recipes.augmentation import Stretch

from .waveforms import RATE, made, voice


@pytest.mark.parametrize("name", APPLY)
def test_the_global_generators_neither_decide_nor_move(name):
    samples = voice(4000)
    results = []
    for seed in (5, 6):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the generator that the library uses
        states = random.getstate(), repr(np.random.get_state())  # noqa: NPY002 - as above
        results.append(made(name, samples).tobytes())
        assert (random.getstate(), repr(np.random.get_state())) == states  # noqa: NPY002
    assert results[0] == results[1]


def test_the_global_generators_come_back_after_an_error(monkeypatch):
    import audiomentations

    def fail(*_: object, **__: object) -> None:
        random.random()
        raise RuntimeError("inside the library")

    monkeypatch.setattr(audiomentations.Gain, "__call__", fail)
    state = random.getstate()
    with pytest.raises(RuntimeError, match="inside the library"):
        made("gain", voice(10))
    assert random.getstate() == state


def drawn_by_the_library(seed: int) -> bytes:
    """A transform of which both global generators decide much."""
    rng = np.random.default_rng(seed)
    ends = {"min_snr_db": 0.0, "max_snr_db": 40.0}
    return effects._library("AddGaussianSNR", voice(300), RATE, rng, **ends).tobytes()


def test_what_the_library_draws_is_decided_too():
    results = []
    for seed in (5, 6):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the generator that the library uses
        results.append(drawn_by_the_library(1))
    assert results[0] == results[1] != drawn_by_the_library(2)


def test_threads_do_not_disturb_each_other(monkeypatch):
    """One at a time has the global generators."""
    import audiomentations

    held = []

    def note(_: object, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        held.append(effects._global_generators.locked())
        return samples

    monkeypatch.setattr(audiomentations.Gain, "__call__", note)
    threads = [threading.Thread(target=made, args=("gain", voice(9))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [True] * 4
    assert not effects._global_generators.locked()


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "audiomentations", None)
    with pytest.raises(MissingExtra, match=r"waveform augmentation needs .*ser-edge\[train\]"):
        made("gain", voice(10))


def test_the_package_loads_no_library():
    code = (
        "import sys, ser_edge_train.dataset, ser_edge_train.augmentation.waveform\n"
        "heavy = {'audiomentations', 'librosa', 'scipy', 'soundfile', 'numba'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_recipes_bounds_keep_stretching_reproducible():
    """Beyond twice the length the library's engine seeds itself: two runs differ."""
    samples = voice(RATE)
    for rate in (0.5, 0.5001, 0.63, 0.999, 1.5, 2.0):
        table = Stretch(rate=(rate, rate))
        assert len({made("stretch", samples, how=table).tobytes() for _ in range(3)}) == 1
    beyond = Stretch.model_construct(probability=1.0, rate=(0.4, 0.4))
    assert len({made("stretch", samples, how=beyond).tobytes() for _ in range(3)}) > 1
