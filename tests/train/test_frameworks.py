"""Keras is loaded without what it merely could use, and that is there all the same afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("keras", reason="needs the extra train")

LOADED = "{name.partition('.')[0] for name in sys.modules}"


def run(*lines):
    return subprocess.run(
        [sys.executable, "-c", "\n".join(("import sys", *lines))],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module",
    ["ser_edge_train.frameworks", "ser_edge_train.fitting", "ser_edge_train.networks.cnn2d",
     "ser_edge_convert.export", "ser_edge_convert.loading"],
)  # fmt: skip
def test_keras_comes_without_what_nothing_here_uses(module):
    done = run(
        f"import {module}",
        f"loaded = {LOADED}",
        "assert {'keras', 'tensorflow'} <= loaded",
        "print(sorted(loaded & {'sklearn', 'matplotlib', 'pandas'}))",
        "import sklearn.linear_model, matplotlib.pyplot",
        "print(sklearn.linear_model.LogisticRegression.__name__, matplotlib.pyplot.plot.__name__)",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "LogisticRegression plot"]


def test_what_was_loaded_before_stays():
    done = run(
        "import sklearn",
        "before = sys.modules['sklearn']",
        "import ser_edge_train.frameworks",
        "assert sys.modules['sklearn'] is before",
        "assert 'matplotlib' not in sys.modules",
    )
    assert done.returncode == 0, done.stderr


def test_without_keras_nothing_stays_hidden():
    done = run(
        "sys.modules['keras'] = None",
        "try:",
        "    import ser_edge_train.frameworks",
        "except ModuleNotFoundError as fault:",
        "    assert fault.name == 'keras'",
        "else:",
        "    raise SystemExit('loaded')",
        "import sklearn, matplotlib",
    )
    assert done.returncode == 0, done.stderr


def test_networks_are_saved_and_read_without_them(tmp_path):
    done = run(
        "from ser_edge_train.frameworks import keras, layers, ops, tf",
        "model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])",
        f"model.save({str(tmp_path / 'one.keras')!r})",
        f"again = keras.models.load_model({str(tmp_path / 'one.keras')!r})",
        "assert ops.shape(again(tf.zeros((3, 4)))) == (3, 2)",
        "print('sklearn' in sys.modules)",
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
