"""``ser-edge doctor``: is everything here that classification needs, and which of it is used."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from ser_edge.extras import EXTRAS, missing
from ser_edge.options import interpreter_options
from ser_edge.output import Output, output_options
from ser_edge_runtime.errors import SerEdgeError

if TYPE_CHECKING:
    from ser_edge_runtime.delegates import Delegate

OK, NOTE, FAILED = "ok", "note", "FAILED"
_SIXTY_FOUR_BITS = ("aarch64", "arm64", "x86_64", "AMD64")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: The thing.
        status: "ok", "note" (worth knowing, no fault) or "FAILED".
        detail: What was found, and what to do about it.
    """

    name: str
    status: str
    detail: str


@click.command(
    "doctor",
    epilog="""\b
Examples:
  ser-edge doctor
  ser-edge doctor --model model.tflite --interpreter tflite-runtime
  ser-edge doctor clip.wav

Exit code 1 when a check failed.""",
)
@click.argument("paths", nargs=-1, metavar="[RECORDINGS]...")
@interpreter_options
@output_options()
def command(
    paths: tuple[str, ...],
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Check this machine, or recordings: why is the answer wrong?

    Without RECORDINGS: says which TFLite interpreter is used and why, which formats can
    be read, and whether the model computes here what it computed where it was made: its
    golden vectors.

    With RECORDINGS (files or folders): looks at the length, the channels, the level,
    clipping, the sample rate, the bandwidth, hum, noise, music, and how far the features
    lie from the training data, and says what to do.
    """
    if paths:
        return _recordings(paths, model, threads, interpreter, delegate, output)
    failed = 0
    for check in _checks(model, threads, interpreter, delegate):
        failed += check.status == FAILED
        output.record(asdict(check), f"{check.status:<7} {check.name:<15} {check.detail}")
    if failed:
        output.error(f"{failed} of the checks failed; the lines that say {FAILED} tell what to do")
    return output.exit_code


def _recordings(
    paths: tuple[str, ...],
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    from ser_edge.inputs import find_recordings
    from ser_edge_runtime.classifier import Classifier
    from ser_edge_runtime.recording_check import check_recording

    classifier = Classifier.load(model, threads=threads, interpreter=interpreter, delegate=delegate)
    spoiled = count = unread = 0
    for path, fault in find_recordings(paths):
        try:
            if fault is not None:
                raise fault
            checks = check_recording(path, classifier)
        except SerEdgeError as reason:
            output.error(reason, {"path": path, "error": str(reason)})
            unread += 1
            continue
        if count:
            output.text()
        count += 1
        output.text(path)
        spoiled += any(check.status == FAILED for check in checks)
        for check in checks:
            output.record(
                {"path": path, **asdict(check)},
                f"  {check.status:<7} {check.name:<12} {check.detail}",
            )
    if spoiled:
        others = f", and {unread} more could not be read" if unread else ""
        output.error(
            f"{spoiled} of {count} recordings have faults{others}; the lines that say {FAILED} "
            "tell what to do"
        )
    return output.exit_code


def _checks(
    model: str | None, threads: int, interpreter: str | None, delegate: Delegate | None
) -> Iterator[Check]:
    from ser_edge_runtime import __version__

    yield Check("ser-edge", OK, f"{__version__}, Python {platform.python_version()}")
    bits = 8 * struct.calcsize("P")
    architecture = _debian_architecture() if bits == 32 else ""
    yield check_platform(platform.system(), platform.machine(), bits, sys.byteorder, architecture)
    yield _numpy(bits)
    yield _soundfile()
    yield from _interpreters(interpreter)
    yield from _model(model, threads, interpreter, delegate)
    for extra in EXTRAS:
        lacking = missing(extra)
        yield Check(
            f"extra {extra}",
            NOTE if lacking else OK,
            f"not installed ({', '.join(lacking)}); needed for it: pip install 'ser-edge[{extra}]'"
            if lacking
            else "installed",
        )


def check_platform(
    system: str, machine: str, bits: int, byte_order: str, architecture: str = ""
) -> Check:
    """What is known of a kind of machine; 32-bit systems have no wheels of numpy.

    Args:
        system: As "Linux".
        machine: What the kernel calls it, which is not what the system is: 32-bit Raspberry Pi
            OS boots a 64-bit kernel.
        bits: Of Python.
        byte_order: "little" or "big".
        architecture: Debian's name for the system, if it is known.
    """
    what = f"{system} on {machine}, Python of {bits} bits"
    if byte_order != "little":
        return Check("platform", FAILED, f"{what}: model files need a little-endian machine")
    if bits == 64:
        return Check("platform", OK, what)
    named = f" ({architecture})" if architecture else ""
    kernel = ""
    if machine in _SIXTY_FOUR_BITS:
        kernel = f" on a 64-bit kernel, so that it calls itself {machine} and is none"
    arm = machine.lower().startswith(("arm", "aarch64")) or architecture == "armhf"
    way = "install python3-numpy of the distribution"
    if arm:
        way += (
            ", or better, on another machine: ser-edge bundle MODEL --platform armhf, which makes "
            "a folder to install from, or with --deb a package for apt (docs/bundle.md)"
        )
    return Check(
        "platform",
        NOTE,
        f"{what}: a 32-bit system{named}{kernel}; PyPI has no numpy for it, so pip cannot install "
        f"ser-edge: {way}",
    )


def _debian_architecture() -> str:
    """What Debian calls this system; empty where there is no dpkg."""
    program = shutil.which("dpkg")
    if program is None:
        return ""
    words = [program, "--print-architecture"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _numpy(bits: int) -> Check:
    try:
        import numpy
    except ImportError as fault:
        way = "pip install numpy" if bits == 64 else "apt install python3-numpy"
        return Check("numpy", FAILED, f"{fault}; run: {way}")
    return Check("numpy", OK, numpy.__version__)


def _soundfile() -> Check:
    try:
        import soundfile
    except (ImportError, OSError) as fault:
        return Check(
            "soundfile",
            FAILED,
            f"{fault}; only PCM WAV can be read; run: pip install soundfile (32-bit ARM: "
            "apt install libsndfile1)",
        )
    return Check(
        "soundfile", OK, f"{soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}"
    )


def _interpreters(wanted: str | None) -> Iterator[Check]:
    from ser_edge_runtime.interpreter import available_backends

    used = None
    for name, version, why_not in available_backends():
        detail = f"{version}, not used: "
        if why_not is not None:
            detail, status = f"not used: {why_not}", FAILED if name == wanted else NOTE
        elif wanted is not None and name != wanted:
            detail, status = detail + f"{wanted} was asked for", OK
        elif used is not None:
            detail, status = detail + f"{used} comes first", OK
        elif name == "tensorflow" and wanted is None:
            # Importing it takes seconds, so it is never taken by itself.
            detail, status = detail + "only if asked for with --interpreter tensorflow", OK
        else:
            used, status = name, OK
            detail = f"{version}, used: {'asked for' if wanted else 'the first that works'}"
        yield Check(name, status, detail)


def _model(
    model: str | None, threads: int, interpreter: str | None, delegate: Delegate | None
) -> Iterator[Check]:
    from ser_edge_runtime.classifier import Classifier
    from ser_edge_runtime.golden import verify_golden

    try:
        classifier = Classifier.load(
            model, threads=threads, interpreter=interpreter, delegate=delegate
        )
        report = verify_golden(classifier.model_file, classifier)
    except SerEdgeError as fault:
        yield Check("model", FAILED, str(fault))
        return
    found = (
        f"features off by {report.feature_difference:.1e} of their range, probabilities by "
        f"{report.probability_difference:.1e} (allowed: {report.tolerance:.1e})"
    )
    name = classifier.model_file.name
    if report.passed:
        yield Check("model", OK, f"{name}: golden vectors hold: {found}")
    else:
        yield Check("model", FAILED, f"{name}: {found}; try another --interpreter and report it")
    delegated = classifier.delegated
    yield Check("delegate", OK if delegated.fault is None else NOTE, delegated.words)
