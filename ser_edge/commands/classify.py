"""``ser-edge classify``: recordings in, an emotion each out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ser_edge.inputs import STDIN, Recording, find_recordings
from ser_edge.options import Seconds, interpreter_options
from ser_edge.output import Output, describe_os_error, output_options
from ser_edge_runtime.errors import SerEdgeError

if TYPE_CHECKING:
    from ser_edge_runtime import Classifier, Result

_COLUMNS = ("path", "start", "end", "label", "score", "seconds", "error")
_WIDEST_PATH = 60


@click.command(
    "classify",
    epilog="""\b
Examples:
  ser-edge classify clip.wav
  ser-edge classify recordings/ interview.flac --top 3
  ser-edge classify interview.wav --segment 3 --step 1 --csv > emotions.csv
  arecord -q -f S16_LE -r 16000 -d 3 | ser-edge classify - --json

Folders are searched at any depth for .wav, .flac, .ogg, .opus, .mp3 and .aiff; hidden
files are left out. A recording that cannot be read is named on stderr, the others are
classified, and the exit code is 1.""",
)
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option("--top", type=click.IntRange(min=1), help="Show the N most probable emotions.")
@click.option(
    "--segment",
    type=Seconds(),
    help="Classify pieces of this many seconds, not the whole recording.",
)
@click.option(
    "--step",
    type=Seconds(),
    help="Seconds from one piece to the next (with --segment; by default the same).",
)
@interpreter_options
@output_options(csv=_COLUMNS)
def command(
    paths: tuple[str, ...],
    top: int | None,
    segment: float | None,
    step: float | None,
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: str | None,
    output: Output,
) -> int:
    """Name the emotion in recordings.

    PATHS are audio files, folders, or - for a WAV file on standard input. Each result is
    one line: the file, the most probable emotion, its probability, and the runner-up.
    """
    if step is not None and segment is None:
        raise click.UsageError("--step needs --segment")
    if paths.count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read once only")
    if STDIN in paths and sys.stdin.isatty():
        raise click.UsageError("nothing is piped into standard input (-)")
    recordings = list(find_recordings(paths))
    from ser_edge_runtime.classifier import Classifier

    classifier = Classifier.load(model, threads=threads, interpreter=interpreter, delegate=delegate)
    output.columns = (*_COLUMNS, *classifier.labels)
    lines = _Lines(recordings, classifier.labels, top, windowed=segment is not None)
    # On a terminal the results themselves show how far the work is.
    with output.progress("classifying", shown=not sys.stdout.isatty()) as progress:
        for done, recording in enumerate(recordings):
            progress(done, len(recordings))
            try:
                results = _classify(classifier, recording, segment, step)
            except SerEdgeError as fault:
                output.error(fault, {"path": recording.path, "error": str(fault)})
                continue
            except OSError as fault:
                words = describe_os_error(fault)
                output.error(words, {"path": recording.path, "error": words})
                continue
            # Printed outside the try: a full disk or a closed pipe is no fault of the recording.
            for result in results:
                output.record(
                    lines.values(recording, result, output.style), lines.text(recording, result)
                )
    return output.exit_code


def _classify(
    classifier: Classifier, recording: Recording, segment: float | None, step: float | None
) -> list[Result]:
    if recording.fault is not None:
        raise recording.fault
    if recording.path == STDIN:
        from ser_edge_runtime.audio import decode_wav

        samples, rate = decode_wav(sys.stdin.buffer.read(), STDIN)
    elif segment is None:
        return [classifier.classify_file(recording.path)]
    else:
        from ser_edge_runtime.audio import load_audio

        samples, rate = load_audio(recording.path)
    if segment is None:
        return [classifier.classify(samples, rate)]
    try:
        return classifier.windows(samples, rate, segment, segment if step is None else step)
    except ValueError as fault:
        # The samples were checked when they were read: it is the two lengths.
        raise click.UsageError(str(fault)) from None


class _Lines:
    """How a result is written; columns stand below each other."""

    def __init__(
        self,
        recordings: list[Recording],
        labels: tuple[str, ...],
        top: int | None,
        *,
        windowed: bool,
    ) -> None:
        longest = max((len(recording.path) for recording in recordings), default=0)
        self._path_width = min(longest, _WIDEST_PATH)
        self._label_width = max(len(label) for label in labels)
        self._top = top
        self._windowed = windowed

    def values(self, recording: Recording, result: Result, style: str) -> dict[str, Any]:
        best = self._best(result, len(result.scores) if self._top is None else self._top)
        scores = {label: score for label, score in result.scores.items() if label in best}
        values: dict[str, Any] = {"path": recording.path}
        if self._windowed:
            values |= {"start": result.start, "end": result.end}
        values |= {"label": result.label, "score": result.score}
        values |= scores if style == "csv" else {"scores": scores}
        return values | {"seconds": result.seconds}

    def text(self, recording: Recording, result: Result) -> str:
        best = self._best(result, 2 if self._top is None else self._top)
        columns = [recording.path.ljust(self._path_width)]
        if self._windowed:
            columns.append(f"{result.start:7.2f} - {result.end:7.2f} s")
        columns += [
            f"{label.ljust(self._label_width)} {100 * result.scores[label]:5.1f} %"
            for label in best
        ]
        return "  ".join(columns)

    @staticmethod
    def _best(result: Result, count: int) -> list[str]:
        # sorted() is stable: equal scores keep the order of the labels.
        return sorted(result.scores, key=lambda label: -result.scores[label])[:count]
