"""The group itself: help, faults, exit codes, signals, pipes."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ser_edge.cli
from ser_edge.commands import COMMANDS
from ser_edge_runtime import __version__
from ser_edge_runtime.blas_threads import THREAD_VARIABLES
from ser_edge_runtime.errors import SerEdgeError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def failing(monkeypatch):
    """Makes ``ser-edge scan`` raise what it is given, without a process of its own."""

    def install(fault):
        @click.command("scan")
        def command() -> None:
            raise fault

        monkeypatch.setattr(ser_edge.cli.LazyGroup, "get_command", lambda self, ctx, name: command)

    return install


def test_help_lists_every_command_and_imports_none():
    code = (
        "import sys\n"
        "from ser_edge.cli import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = [m for m in sys.modules if m.startswith('ser_edge.commands.')]\n"
        "assert heavy == [], heavy\n"
        "assert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, words in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert words in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_begins_with_the_words_of_the_list(name):
    command = importlib.import_module(f"ser_edge.commands.{name}").command
    assert command.name == name
    assert command.help.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_every_command_has_an_example(name):
    command = importlib.import_module(f"ser_edge.commands.{name}").command
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.help
    assert f"ser-edge {name}" in command.epilog


@pytest.mark.parametrize(("option", "least"), [("interpreter", 8), ("store", 9)])
def test_an_option_of_several_commands_is_one_and_the_same(option, least):
    found = [
        (parameter.opts, parameter.help, parameter.envvar, parameter.type.to_info_dict())
        for name in COMMANDS
        for parameter in importlib.import_module(f"ser_edge.commands.{name}").command.params
        if parameter.name == option
    ]
    assert len(found) >= least
    assert all(one == found[0] for one in found)


def test_every_module_of_commands_is_listed():
    folder = ROOT / "ser_edge" / "commands"
    assert {path.stem for path in folder.glob("[!_]*.py")} == set(COMMANDS)


def test_version(ser_edge):
    done = ser_edge("--version")
    assert (done.returncode, done.stdout) == (0, f"ser-edge {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--wrong"], "see: ser-edge --help"),
        (["clasify"], "see: ser-edge --help"),
        (["classify"], "see: ser-edge classify --help"),
        (["classify", "--wrong", "x.wav"], "see: ser-edge classify --help"),
        (["classify", "--top", "0", "x.wav"], "see: ser-edge classify --help"),
        (["slots"], "Choose from: setup, status, install, rollback; see: ser-edge slots --help"),
    ],
)
def test_wrong_options_are_one_line_with_the_way_to_help_and_exit_2(
    ser_edge, one_line, arguments, hint
):
    one_line(ser_edge(*arguments), 2, hint)


def test_no_command_shows_the_help(ser_edge):
    done = ser_edge()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == ser_edge("--help").stdout
    assert done.stderr.startswith("Usage: ser-edge [OPTIONS] COMMAND [ARGS]...\n\n  Speech")


def test_a_users_fault_is_its_message_and_its_exit_code(failing, capsys):
    class Refused(SerEdgeError):
        exit_code = 2

    failing(Refused("model.tflite: wrong; do this"))
    assert ser_edge.cli.run(["scan"]) == 2
    assert capsys.readouterr().err == "ser-edge: model.tflite: wrong; do this\n"


def test_debug_shows_the_traceback_before_the_line(failing, capsys):
    failing(SerEdgeError("the message"))
    assert ser_edge.cli.run(["--debug", "scan"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "ser-edge: the message"


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "ser-edge: interrupted\n"),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "a.csv: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "write: No space left on device\n"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("by zero"), 1, "internal error: ZeroDivisionError: by zero; run it"),
        (ValueError("two\nlines"), 1, "two\\nlines"),
    ],
)
def test_any_other_fault_is_one_line_without_traceback(failing, capsys, fault, code, line):
    failing(fault)
    assert ser_edge.cli.run(["scan"]) == code
    printed = capsys.readouterr().err
    assert line in printed
    assert printed.count("\n") == 1


def test_a_control_character_in_a_path_keeps_the_message_on_one_line(
    ser_edge, one_line, model, tmp_path
):
    done = ser_edge("classify", tmp_path / "a\nb.wav", "--model", model)
    one_line(done, 1, "a\\nb.wav")


def test_a_file_name_that_is_not_utf8_can_be_named(ser_edge, one_line, model, tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.wav")
    one_line(ser_edge("classify", name, "--model", model), 1, "\\udcff.wav")


def test_ctrl_c_ends_with_130_and_one_line():
    # The child says when it is in the middle of its work, then waits there for the signal.
    code = (
        "import signal, sys, ser_edge.cli, ser_edge.commands.classify as classify\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def wait(paths):\n"
        "    print('working', flush=True)\n"
        "    sys.stdin.read()\n"
        "classify.find_recordings = wait\n"
        "ser_edge.cli.main(['classify', 'clip.wav'])\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "working\n"
    child.send_signal(signal.SIGINT)
    _, printed = child.communicate(timeout=60)
    assert child.returncode == 130, printed
    assert printed == "ser-edge: interrupted\n"


def test_a_reader_that_leaves_is_no_fault(clips, model):
    words = ["classify", str(clips), "--model", str(model)]
    listing = ["from ser_edge.cli import main", f"main({words!r})"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(listing)],
        stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_is_one_line(clip, model, buffered):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ser_edge", "classify", str(clip), "--model", str(model)],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False,
            env=environment,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "ser-edge: cannot read or write: No space left on device\n"


def test_one_blas_thread_unless_the_user_chose_otherwise():
    code = "import os; from ser_edge.cli import run; run(['--version']); print(os.environ['{}'])"
    for variable in THREAD_VARIABLES:
        clean = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
        for environment, expected in ((clean, "1"), (clean | {variable: "3"}, "3")):
            done = subprocess.run(
                [sys.executable, "-c", code.format(variable)],
                capture_output=True, text=True, env=environment, cwd=ROOT, check=True,
            )  # fmt: skip
            assert done.stdout.splitlines()[-1] == expected


def test_shell_completion_names_the_commands(ser_edge):
    done = ser_edge(_SER_EDGE_COMPLETE="bash_complete", COMP_WORDS="ser-edge cl", COMP_CWORD="1")
    assert "classify" in done.stdout
