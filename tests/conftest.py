"""Fixtures that more than one package's tests use."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# No test is timed: a busy machine must not fail one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent


def find_corpora() -> Path | None:
    """The folder of recordings: $SER_EDGE_CORPORA, else ../shared/corpora beside the checkout."""
    named = os.environ.get("SER_EDGE_CORPORA")
    candidates = [Path(named)] if named else [ROOT.parent / "shared" / "corpora"]
    return next((folder for folder in candidates if folder.is_dir()), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: what CI lacks, CI does not prove."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The four corpora; their licences forbid shipping them, so a checkout alone lacks them."""
    folder = find_corpora()
    if folder is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs the recordings: set SER_EDGE_CORPORA")
        pytest.skip("no recordings: neither $SER_EDGE_CORPORA nor ../shared/corpora is there")
    return folder


@pytest.fixture(scope="session")
def tflite_runtime() -> str:
    """A Python that has tflite-runtime 2.14 and the numpy below 2 that it needs."""
    python = os.environ.get("SER_EDGE_TFLITE_RUNTIME_PYTHON")
    if not python:
        if os.environ.get("CI"):
            pytest.fail("CI needs a Python with tflite-runtime: set SER_EDGE_TFLITE_RUNTIME_PYTHON")
        pytest.skip("$SER_EDGE_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime")
    return python
