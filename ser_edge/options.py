"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.voice import Voice

Function = TypeVar("Function", bound=Callable[..., Any])

PROTOCOLS = (
    "speaker-disjoint",
    "speaker-folds",
    "leave-one-speaker-out",
    "sentence-disjoint",
    "cross-corpus",
    "random",
    "augment-then-split",
)
SEXES = ("mixed", "female", "male")
INTERPRETERS = ("ai-edge-litert", "tflite-runtime", "tensorflow")


class Seconds(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 alone
    """A length of time in seconds, above 0 and at most an hour."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Reads ``value``; anything but a number in range is a usage error."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= 3600:
            self.fail(f"{value!r} is not a number of seconds above 0, at most 3600", param, ctx)
        return seconds


class Share(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 alone
    """A share of a whole, 0 to 1."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Reads ``value``; anything but a number from 0 to 1 is a usage error."""
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share from 0 to 1 (0.02 is two points)", param, ctx)
        return share


class OutFile(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 alone
    """A file to write, in a folder that is there: known before work of minutes begins."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Reads ``value``; a folder, a recording and a missing folder are usage errors."""
        from pathlib import Path  # costs a cold start 4 ms

        from ser_edge_runtime.audio import AUDIO_SUFFIXES

        path = Path(value)
        if path.is_dir():
            self.fail(f"{path} is a folder; name a file in it", param, ctx)
        # A word too few before a recording's name would cost the recording: `--srt clip.wav`.
        if path.suffix.lower() in AUDIO_SUFFIXES:
            self.fail(f"{path} is a recording by its name; name another file", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"the folder of {path} does not exist; create it first", param, ctx)
        return path


def out_file(option: str, value: str | Path) -> Path:
    """What :class:`OutFile` makes of an option's value that is not always one file.

    Raises:
        click.BadParameter: As there, naming ``option``.
    """
    try:
        return OutFile().convert(value, None, None)
    except click.BadParameter as fault:
        raise click.BadParameter(fault.message, param_hint=f"'{option}'") from None


def default_store() -> Path:
    """Where features are kept if nobody says: the user's cache folder of this system."""
    from ser_edge_runtime.user_folders import user_folder

    return user_folder("cache") / "features"


def store_option(function: Function) -> Function:
    """Adds ``--store``, a Path; :func:`default_store` if nobody says."""
    return click.option(
        "--store",
        callback=lambda _, __, value: _store(value),
        metavar="FOLDER",
        envvar="SER_EDGE_STORE",
        show_envvar=True,
        help="Where computed features are kept; by default in the user's cache folder.",
    )(function)


def _store(folder: str | None) -> Path:
    from pathlib import Path

    return default_store() if folder is None else Path(folder)


def moved_data_option(function: Function) -> Function:
    """Adds ``--data``: where a run's recordings lie, None if where they lay."""
    return click.option(
        "--data", metavar="MANIFEST", help="Manifest of the recordings, if they were moved since."
    )(function)


def calibration_options(function: Function) -> Function:
    """Adds ``--calibration-size`` and ``--seed``, which choose the calibration clips."""
    for option in (
        click.option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            show_default=True,
            help="Chooses the calibration clips.",
        ),
        click.option(
            "--calibration-size",
            type=click.IntRange(1, 100_000),
            default=200,
            show_default=True,
            help="Clips of training speakers that show the range of activations.",
        ),
    ):
        function = option(function)
    return function


def ledger_option(function: Function) -> Function:
    """Adds ``--ledger``."""
    return click.option(
        "--ledger",
        type=OutFile(),
        metavar="FILE",
        help="Table of scored test parts to enter the scores in. Scoring a recipe's test part "
        "again with another model is refused.",
    )(function)


def processes_option(function: Function) -> Function:
    """Adds ``--processes``."""
    return click.option(
        "--processes",
        type=click.IntRange(1, 256),
        help="Worker processes; by default one a core.",
    )(function)


def workers_option(function: Function) -> Function:
    """Adds ``--workers``."""
    return click.option(
        "--workers",
        type=click.IntRange(1, 256),
        help="Recordings to decode at a time; by default one a core.",
    )(function)


def model_option(function: Function) -> Function:
    """Adds ``--model``."""
    return click.option(
        "--model",
        metavar="FILE|NAME",
        help="Model file, or name of a model that comes with "
        "ser-edge; by default the model default.",
    )(function)


def delegate_options(function: Function) -> Function:
    """Adds ``--delegate`` and its options; the command gets ``delegate``, None without any."""

    @functools.wraps(function)
    def wrapper(
        *args: Any,
        delegate: str | None,
        delegate_option: tuple[str, ...],
        delegate_fallback: bool,
        **kwargs: Any,
    ) -> Any:
        chosen = _delegate(delegate, delegate_option, delegate_fallback)
        return function(*args, delegate=chosen, **kwargs)

    decorated: Any = wrapper
    for option in (
        click.option(
            "--delegate-fallback",
            is_flag=True,
            help="Let the CPU run what the delegate does not; by default that is an error.",
        ),
        click.option(
            "--delegate-option",
            multiple=True,
            metavar="NAME=VALUE",
            help="What to hand to the delegate, as device=usb:0; may be repeated.",
        ),
        click.option(
            "--delegate",
            metavar="LIBRARY",
            help="Shared library of an accelerator's delegate, as libedgetpu.so.1; xnnpack is "
            "the CPU's own, and used by default; none leaves that out too.",
        ),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # Any, as a wrapped command has no type


def _delegate(library: str | None, options: tuple[str, ...], fallback: bool) -> Delegate | None:
    if library is None:
        for name, given in (("--delegate-option", options), ("--delegate-fallback", fallback)):
            if given:
                raise click.UsageError(f"{name} needs --delegate")
        return None
    from ser_edge_runtime.delegates import Delegate, hear

    pairs = []
    for option in options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--delegate-option {option!r} is not NAME=VALUE")
        pairs.append((name, value))
    delegate = Delegate(library, tuple(pairs), fallback)
    if not delegate.external and (pairs or fallback):
        raise click.UsageError(f"--delegate {library} is no library: it has no options")
    if fallback:
        hear("ser-edge: ")
    return delegate


def interpreter_option(function: Function) -> Function:
    """Adds ``--interpreter``."""
    return click.option(
        "--interpreter",
        type=click.Choice(INTERPRETERS),
        envvar="SER_EDGE_INTERPRETER",
        show_envvar=True,
        help="Interpreter to run models with; by default the first that is installed.",
    )(function)


def interpreter_options(function: Function) -> Function:
    """Adds ``--model`` and the options of :func:`runner_options`."""
    return model_option(runner_options(function))


def runner_options(function: Function) -> Function:
    """Adds ``--threads``, ``--interpreter`` and those of a delegate."""
    for option in (
        delegate_options,
        interpreter_option,
        click.option(
            "--threads",
            type=click.IntRange(1, 256),
            default=1,
            show_default=True,
            help="Threads of the interpreter.",
        ),
    ):
        function = option(function)
    return function


def voices_option(function: Function) -> Function:
    """Adds ``--voices``; None stands for the user's own folder."""
    return click.option(
        "--voices",
        metavar="FOLDER",
        envvar="SER_EDGE_VOICES",
        show_envvar=True,
        help="Where enrolled voices are kept; by default in the user's data folder.",
    )(function)


def speaker_options(function: Function) -> Function:
    """Adds ``--speaker`` and ``--voices``; the command gets ``voice``, None without a speaker."""

    @functools.wraps(function)
    def wrapper(*args: Any, speaker: str | None, voices: str | None, **kwargs: Any) -> Any:
        return function(*args, voice=_voice(speaker, voices), **kwargs)

    decorated: Any = voices_option(wrapper)
    return click.option(  # type: ignore[no-any-return] # as a wrapped command has no type
        "--speaker", metavar="NAME", help="Whose voice it is, as enrolled by ser-edge enrol."
    )(decorated)


def _voice(speaker: str | None, voices: str | None) -> Voice | None:
    if speaker is None:
        # From the environment it may stay unused.
        source = click.get_current_context().get_parameter_source("voices")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--voices needs --speaker")
        return None
    from ser_edge_runtime.voices import Voices

    return Voices(voices).read(speaker)
