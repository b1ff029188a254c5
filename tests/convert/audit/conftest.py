from __future__ import annotations

import json

import pytest

from ser_edge_convert.audit import audit
from tests.convert.audit import toys


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return toys.make_world(tmp_path_factory.mktemp("audit") / "recordings")


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def runs(tmp_path_factory, world):
    """Three folds, which test every speaker once."""
    folder = tmp_path_factory.mktemp("runs")
    return [toys.make_run(folder / f"fold-{fold}", world, fold) for fold in (1, 2, 3)]


@pytest.fixture(scope="session")
def models(tmp_path_factory, runs):
    """By variant, the files of the three folds."""
    folder = tmp_path_factory.mktemp("models")
    return {
        variant: [
            toys.make_model(folder / f"{variant}-{number}.tflite", run, variant)
            for number, run in enumerate(runs, 1)
        ]
        for variant in ("float32", "int8-io")
    }


@pytest.fixture(scope="session")
def document(runs, models, store):
    """The audit of both variants on all folds, without times."""
    paths = [path for of_variant in models.values() for path in of_variant]
    return audit(paths, runs, store=store, timed_clips=0)


@pytest.fixture
def changed(document):
    """The document as a copy that may be changed."""
    return json.loads(json.dumps(document))
