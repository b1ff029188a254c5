"""The committed proof of training over workers, run as it is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..conftest import ROOT


@pytest.mark.skipif(os.name != "posix", reason="the worker is killed with SIGKILL")
def test_two_workers_on_loopback_are_one_process_and_survive_a_kill(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.two_workers", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert done.stdout.count("the same bytes") == 4
    assert done.stdout.count("the fit is spread over 2 replicas") == 2
    assert "folders of workers left in the store: 0" in done.stdout
