"""Archives on a Dask cluster. A killed worker is proved by docs/prove_archive.py."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ser_edge_runtime import Classifier
from tests.system.test_imports import CLIP, MODEL, ROOT


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What the cluster answered, recordings given as from another folder than the workers'."""
    broken = tmp_path_factory.mktemp("cluster") / "broken.wav"
    broken.write_text("text")
    paths = [str(CLIP.relative_to(ROOT)), str(broken), "none.wav"]
    done = subprocess.run(
        [sys.executable, "tests/system/cluster.py", MODEL, *paths],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return paths, json.loads(done.stdout.splitlines()[-1])


def test_a_worker_answers_as_this_process_does(out):
    paths, found = out
    assert [answer[0] for answer in found["answers"]] == paths
    clip, broken, missing = found["answers"]
    assert clip[1:] == [None, Classifier.load(MODEL).classify_file(CLIP).scores]
    assert "no audio" in broken[1]
    assert "does not exist" in missing[1]


def test_a_cluster_that_is_none_is_one_line_with_the_next_step(out):
    _, found = out
    assert found["nobody"].startswith("tcp://127.0.0.1:9: no Dask scheduler answers")
    assert "dask scheduler" in found["nobody"]
    assert "has no worker; start one with: dask worker tcp://127.0.0.1" in found["no worker"]
