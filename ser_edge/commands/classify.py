"""``ser-edge classify``: recordings in, an emotion each out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ser_edge.inputs import STDIN, Recording, find_recordings
from ser_edge.options import Seconds, Share, interpreter_options
from ser_edge.output import Output, describe_os_error, output_options
from ser_edge.plan import Plan, plan_options
from ser_edge_runtime.errors import SerEdgeError

if TYPE_CHECKING:
    from ser_edge_runtime import Classifier, Result

# As in ser_edge.lines, which needs numpy.
_COLUMNS = ("path", "start", "end", "label", "score", "seconds", "error")


@click.command(
    "classify",
    epilog="""\b
Examples:
  ser-edge classify clip.wav
  ser-edge classify recordings/ interview.flac --top 3
  ser-edge classify interview.wav --segment 3 --step 1 --csv > emotions.csv
  arecord -q -f S16_LE -r 16000 -d 3 | ser-edge classify - --json
  ser-edge classify archive/ --jobs 4 --out emotions.jsonl --resume

Folders are searched at any depth for .wav, .flac, .ogg, .opus, .mp3 and .aiff; hidden
files are left out. A recording that cannot be read is named on stderr, the others are
classified, and the exit code is 1.""",
)
@plan_options
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
@click.option(
    "--min-score",
    type=Share(),
    help="Answer uncertain where no emotion is as probable as this, as 0.5.",
)
@interpreter_options
@output_options(csv=_COLUMNS)
def command(
    plan: Plan,
    top: int | None,
    min_score: float | None,
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
    if plan.paths.count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read once only")
    if STDIN in (*plan.paths, plan.listed) and sys.stdin.isatty():
        raise click.UsageError("nothing is piped into standard input (-)")
    if plan.large:
        plan.check(output.style)
        from ser_edge.archive import classify_archive

        settings: dict[str, Any] = {"threads": threads, "segment": segment, "step": step}
        settings |= {"interpreter": interpreter, "delegate": delegate}
        return classify_archive(plan, model, settings, top, min_score, output)
    recordings = list(find_recordings(plan.paths))
    from ser_edge.lines import Lines
    from ser_edge_runtime.classifier import Classifier

    classifier = Classifier.load(model, threads=threads, interpreter=interpreter, delegate=delegate)
    output.columns = (*_COLUMNS, *classifier.labels)
    lines = Lines(
        classifier.labels,
        max((len(recording.path) for recording in recordings), default=0),
        top=top,
        min_score=min_score,
        windowed=segment is not None,
    )
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
                    lines.values(recording.path, result, flat=output.style == "csv"),
                    lines.text(recording.path, result),
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
