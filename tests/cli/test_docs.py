"""What the documents promise is run: README, docs/cli.md, examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import wave
from pathlib import Path

import click
import pytest

from ser_edge.cli import cli
from ser_edge.commands import COMMANDS
from ser_edge_runtime import Classifier, load_audio
from ser_edge_runtime.model_file import default_model_path, read_model_file
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CLIPS = sorted((ROOT / "examples" / "clips").glob("*.wav"))
BESIDE_PYTHON = Path(sys.executable).parent

# Commands of the README that no test runs as they stand, and why. Their options are checked
# all the same, and tests/cli/test_training.py runs the same line on toy recordings.
NOT_RUN = {
    "pip install -e '.[dev]' -c constraints.txt && pytest": ".ci/run does, in a fresh environment",
    "ser-edge scan corpora/ --out manifest.csv": "needs the corpora",
    "ser-edge train --recipe default --no-teacher --data manifest.csv --run runs/first": (
        "takes an hour"
    ),
    "ser-edge evaluate runs/first": "needs that run",
    "ser-edge convert runs/first --target cpu --out model.tflite": "needs that run",
}


def console_blocks(text: str) -> list[tuple[str, str]]:
    """Each command of the ``console`` blocks, with the output that is printed below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def run(command: str) -> subprocess.CompletedProcess[str]:
    path = f"{BESIDE_PYTHON}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=ROOT, check=False,
        env=os.environ | {"PATH": path},
    )  # fmt: skip


def without_numbers(text: str) -> str:
    """Other interpreters and processors may round the last digit otherwise."""
    return re.sub(r" +[\d.]+ %", " N %", text)


COMMANDS_OF_README = console_blocks(README)


def test_every_command_that_is_not_run_stands_in_the_readme():
    assert set(NOT_RUN) <= {command for command, _ in COMMANDS_OF_README}


@pytest.mark.parametrize(
    ("command", "output"),
    [pair for pair in COMMANDS_OF_README if pair[0] not in NOT_RUN],
    ids=[command for command, _ in COMMANDS_OF_README if command not in NOT_RUN],
)
def test_the_readmes_commands_run_and_print_what_it_says(command, output):
    # Installation into a fresh environment is .ci/run's; here the package is installed already.
    done = run(command.removeprefix("pip install . && "))
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if output:
        assert without_numbers(done.stdout) == without_numbers(output)


@pytest.mark.parametrize("command", [c for c, _ in COMMANDS_OF_README if c.startswith("ser-edge")])
def test_the_readmes_options_exist(command):
    _, name, *words = shlex.split(command)
    with click.Context(cli, info_name="ser-edge") as parent:
        found = cli.get_command(parent, name)
        assert found is not None
        found.make_context(name, words, parent=parent)


def test_the_two_set_up_commands_stand_as_ci_looks_for_them():
    set_up = [command for command, _ in COMMANDS_OF_README if command.startswith("pip install")]
    assert len(set_up) == 2
    assert set_up[0].startswith("pip install . && ser-edge classify examples/clips/")
    assert set_up[1] == "pip install -e '.[dev]' -c constraints.txt && pytest"


def test_the_readmes_python_runs_as_it_stands():
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in Classifier.load().labels


def test_the_readmes_corpora_that_no_training_heard_are_those_of_the_run():
    runs = json.loads((ROOT / "docs" / "recipe-runs.json").read_text("utf-8"))
    (corpora,) = [
        run["corpora"]
        for run in runs
        if run["recipe"] == "default" and run["protocol"] == "cross-corpus"
    ]
    said = re.findall(r"(TESS|SAVEE) ([\d.]+) %", README)
    assert said == [(name, f"{100 * corpora[name.lower()]['uar']:.1f}") for name, _ in said]
    assert {name for name, _ in said} == {"TESS", "SAVEE"}


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert README.count("\n") <= 150
    for page in (ROOT / "README.md", ROOT / "examples" / "README.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs").rglob("*.json")), ids=lambda path: path.name
)
def test_figures_that_are_committed_name_no_place_of_a_machine(path):
    text = path.read_text("utf-8")
    assert not re.findall(r'"(?:/|[A-Z]:\\\\)[^"]*"', text)
    # Nor within a sentence, as messages have it.
    assert not re.findall(r"[^\w./]/(?:tmp|home|root|work|Users|var|mnt|opt)/\S*", text)


def test_the_readmes_scores_are_those_of_the_default_model():
    make_scores = load_script(ROOT / "docs" / "make_scores.py")
    scores = read_model_file(default_model_path()).metadata.scores
    assert make_scores.updated(README, scores) == README, "run: python docs/make_scores.py"
    assert "| ravdess | 8 |" in README
    card = default_model_path().with_name("README.md").read_text("utf-8")
    assert make_scores.table(scores) in card, "run: python docs/make_card.py"


def test_the_command_lines_reference_is_what_help_prints():
    # In a process of its own: click keeps a command's first help option for good.
    done = subprocess.run(
        [sys.executable, "docs/make_cli.py", "-"],
        capture_output=True, cwd=ROOT, check=True, env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    page = (ROOT / "docs" / "cli.md").read_bytes()
    assert page == done.stdout, "run: python docs/make_cli.py"


def test_every_command_and_every_option_is_documented():
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    with click.Context(cli, info_name="ser-edge") as parent:
        for name in COMMANDS:
            assert f"\n## ser-edge {name}\n" in text
            for parameter in cli.get_command(parent, name).params:
                if isinstance(parameter, click.Option):
                    assert all(option in text for option in parameter.opts)


def test_the_changelog_has_the_version():
    from ser_edge_runtime import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize(
    "script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_the_examples_run(script):
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 4
    assert script.name in (ROOT / "examples" / "README.md").read_text("utf-8")


def test_the_clips_are_small_attributed_and_sound():
    text = (ROOT / "examples" / "clips" / "README.md").read_text("utf-8")
    assert "https://opendatacommons.org/licenses/odbl/1-0/" in text
    assert "CREMA-D" in text
    assert len(CLIPS) >= 6
    assert {path.name for path in CLIPS} == set(re.findall(r"`([\w.]+\.wav)`", text))
    speakers, emotions = set(), set()
    for path in CLIPS:
        assert path.stat().st_size < 200_000
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples, _ = load_audio(path)
        assert abs(samples).max() > 0.05
        speaker, _, emotion, _ = path.stem.split("_")
        speakers.add(speaker)
        emotions.add(emotion)
    assert len(speakers) >= 6
    assert emotions == {"ANG", "DIS", "FEA", "HAP", "NEU", "SAD"}


def test_the_clips_are_upstreams_bytes(corpora):
    for path in CLIPS:
        assert path.read_bytes() == (corpora / "originals" / "crema-d" / path.name).read_bytes()
