"""What ``ser-edge train`` says of workers that do not go together, before it starts anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ser_edge.distribution import silence_servers
from ser_edge_train.distribution import Distribution

TWO = "127.0.0.1:2222,127.0.0.1:2223"
PS = {"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}


@pytest.mark.parametrize(
    ("words", "environment", "word"),
    [
        (["--strategy", "several"], {}, "'several' is not one of"),
        (["--strategy", "multi-worker"], {}, "multi-worker needs addresses"),
        (["--strategy", "multi-worker"], {"TF_CONFIG": json.dumps(PS)}, "only chief and worker"),
        (["--workers", TWO, "--worker", "0"], {}, "they need --strategy multi-worker"),
        (["--strategy", "multi-worker", "--workers", TWO], {}, "go together"),
        (["--strategy", "multi-worker", "--workers", TWO, "--worker", "2"], {}, "no worker 2"),
        (["--strategy", "multi-worker", "--workers", TWO, "--worker", "-1"], {}, "--worker"),
        (["--strategy", "multi-worker", "--workers", "here", "--worker", "0"], {}, "host:port"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    ser_edge, one_line, tmp_path, words, environment, word
):
    done = ser_edge(
        "train", "--recipe", "default", "--data", "x", "--run", tmp_path / "run", *words,
        **environment,
    )  # fmt: skip
    one_line(done, 2, word)
    assert not (tmp_path / "run").exists()


def test_one_process_keeps_its_standard_error(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    for alone in (
        Distribution(),
        Distribution("mirrored"),
        Distribution("multi-worker", ("a:1",), 0),
    ):
        silence_servers(alone)
        os.write(2, b"native\n")
        assert capfd.readouterr().err == "native\n"


def test_with_a_log_level_of_ones_own_everything_is_shown(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    silence_servers(Distribution("multi-worker", ("a:1", "b:2"), 0))
    os.write(2, b"native\n")
    assert capfd.readouterr().err == "native\n"


def test_workers_keep_what_tensorflows_servers_write_off_the_terminal():
    """In a process of its own: standard error is gone for good."""
    code = (
        "import os, sys\n"
        "from ser_edge.distribution import silence_servers\n"
        "from ser_edge_train.distribution import Distribution\n"
        "silence_servers(Distribution('multi-worker', ('a:1', 'b:2'), 0))\n"
        "os.write(2, b'native\\n')\n"
        "print('ours', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "ours\n"
