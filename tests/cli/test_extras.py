"""What commands make sure of before TensorFlow is imported."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from ser_edge.extras import EXTRAS, missing, need, quiet_tensorflow
from ser_edge_runtime.errors import MissingExtra


@pytest.fixture
def tensorflow_log():
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("given", "left", "level"),
    [
        (None, "3", logging.ERROR),
        ("3", "3", logging.ERROR),
        ("2", "2", logging.ERROR),
        ("1", "1", logging.NOTSET),
        ("0", "0", logging.NOTSET),
    ],
)
def test_both_halves_of_tensorflow_are_as_quiet(monkeypatch, tensorflow_log, given, left, level):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if given is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given)
    quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == left
    assert tensorflow_log.level == level


@pytest.mark.parametrize(("given", "left"), [(None, "0"), ("1", "1")])
def test_every_processor_computes_with_the_same_kernels(monkeypatch, given, left):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if given is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", given)
    quiet_tensorflow()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == left
    code = "import os, ser_edge_train.networks; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    if given is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", given)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == left


def test_an_extra_that_is_there_lets_a_command_go_on():
    need("train", "training")
    assert missing("train") == []


def test_a_missing_module_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(EXTRAS, "train", ("numpy", "no_such_module"))
    assert missing("train") == ["no_such_module"]
    with pytest.raises(MissingExtra, match=r"\[train\]"):
        need("train", "training")
    need("train", "training", "numpy")
