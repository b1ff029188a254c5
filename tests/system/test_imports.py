"""A one-shot command on a device must not load what it does not use: each in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "examples" / "clips" / "1001_DFA_ANG_XX.wav"
MODEL = ROOT / "tests" / "data" / "format_v1.tflite"

HEAVY = {
    "tensorflow",
    "keras",
    "tf_keras",
    "librosa",
    "numba",
    "scipy",
    "sklearn",
    "matplotlib",
    "pydantic",
    "rich",
    "audiomentations",
    "ser_edge_train",
    "ser_edge_convert",
}


def modules_after(code: str) -> set[str]:
    """Names of all modules loaded once ``code`` has run, ends of the process included."""
    listing = "import json, sys; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def command(*words: object) -> str:
    return f"from ser_edge.cli import run; assert run({list(map(str, words))!r}) == 0"


def test_the_instrument_sees_a_heavy_import():
    assert packages(modules_after("import ser_edge_train")) & HEAVY == {"ser_edge_train"}


def test_import_of_the_runtime_loads_nothing_heavy_and_no_numpy():
    loaded = packages(modules_after("import ser_edge_runtime"))
    assert loaded & HEAVY == set()
    assert loaded & {"numpy", "soundfile", "click", "ai_edge_litert"} == set()


def test_all_public_names_of_the_runtime_load_nothing_heavy():
    code = "import ser_edge_runtime as r; [getattr(r, name) for name in r.__all__]"
    loaded = packages(modules_after(code))
    assert "numpy" in loaded
    assert loaded & (HEAVY | {"soundfile", "click"}) == set()


@pytest.mark.parametrize(
    "options",
    [[], ["--json"], ["--csv"], ["--segment", "1"]],
    ids=["text", "json", "csv", "windows"],
)
def test_classify_of_a_pcm_wav_loads_nothing_heavy_and_no_soundfile(options):
    modules = modules_after(command("classify", CLIP, "--model", MODEL, *options))
    loaded = packages(modules)
    assert "numpy" in loaded
    assert loaded & (HEAVY | {"soundfile", "cffi"}) == set()
    # Parts of the standard library that cost milliseconds, and that a one-shot command can spare.
    assert loaded & {"asyncio", "multiprocessing", "concurrent", "unittest", "http"} == set()
    assert modules & {"importlib.metadata", "urllib.request", "numpy.testing"} == set()
    commands = {m.rpartition(".")[2] for m in modules if m.startswith("ser_edge.commands.")}
    assert commands == {"classify"}


@pytest.mark.parametrize("words", [["info", MODEL], ["doctor", "--model", MODEL]])
def test_the_devices_other_commands_load_nothing_heavy(words):
    loaded = packages(modules_after(command(*words)))
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    "name", ["scan", "leaks", "recipes", "train", "evaluate", "convert"], ids=lambda name: name
)
def test_help_of_a_command_loads_neither_numpy_nor_tensorflow(name):
    loaded = packages(modules_after(command(name, "--help")))
    assert loaded & {"numpy", "tensorflow", "keras", "pydantic", "sklearn", "librosa"} == set()


def test_scan_and_recipes_load_no_tensorflow(tmp_path):
    loaded = packages(modules_after(command("recipes")))
    assert loaded & {"tensorflow", "keras", "librosa", "sklearn", "matplotlib"} == set()
    words = ["scan", CLIP.parent, "--out", tmp_path / "manifest.csv"]
    loaded = packages(modules_after(command(*words)))
    assert loaded & {"tensorflow", "keras", "librosa", "sklearn", "matplotlib"} == set()


def test_leaks_loads_no_tensorflow(tmp_path):
    manifest = tmp_path / "manifest.csv"
    assert subprocess.run(
        [sys.executable, "-m", "ser_edge", "scan", CLIP.parent, "--out", manifest],
        cwd=ROOT, check=False, capture_output=True,
    ).returncode == 0  # fmt: skip
    partition = tmp_path / "split.csv"
    partition.write_text(f"corpus,stem,part\ncrema-d,{CLIP.stem},train\n")
    loaded = packages(modules_after(command("leaks", manifest, partition)))
    assert "ser_edge_train" in loaded
    assert loaded & {"tensorflow", "keras", "librosa", "sklearn", "matplotlib", "pydantic"} == set()


def test_evaluation_of_a_model_file_loads_no_tensorflow(tmp_path):
    rows = ["path,label"]
    for label, clip in zip(("calm", "loud"), sorted(CLIP.parent.glob("*.wav")), strict=False):
        (tmp_path / f"{label}.wav").write_bytes(clip.read_bytes())
        rows.append(f"{label}.wav,{label}")
    (tmp_path / "own.csv").write_text("\n".join(rows))
    loaded = packages(modules_after(command("evaluate", MODEL, "--data", tmp_path / "own.csv")))
    assert "ser_edge_train" in loaded
    assert loaded & {"tensorflow", "keras", "librosa", "sklearn", "matplotlib", "pydantic"} == set()
