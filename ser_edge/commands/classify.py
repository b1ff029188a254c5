"""``ser-edge classify``: recordings in, an emotion each out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ser_edge.inputs import STDIN, Recording, find_recordings
from ser_edge.options import Seconds, Share, interpreter_options, out_file, speaker_options
from ser_edge.output import Output, describe_os_error, output_options
from ser_edge.plan import Plan, plan_options
from ser_edge_runtime.errors import NoSpeech, SerEdgeError, WindowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ser_edge.captions import Captions
    from ser_edge_runtime import Classifier, Result
    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.resampling import Samples
    from ser_edge_runtime.voice import Voice

# As in ser_edge.lines, which needs numpy.
_COLUMNS = ("path", "start", "end", "label", "score", "seconds", "error")


@click.command(
    "classify",
    epilog="""\b
Examples:
  ser-edge classify clip.wav
  ser-edge classify recordings/ interview.flac --top 3
  ser-edge classify interview.wav --segment 3 --step 1 --csv > emotions.csv
  ser-edge classify film.flac --segment 3 --step 1 --srt film.srt
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
    "--no-gate",
    is_flag=True,
    help="Classify pieces without speech too; they have no result otherwise.",
)
@click.option(
    "--srt",
    metavar="FILE",
    help="Write the pieces of a recording as subtitles; - for standard output.",
)
@click.option(
    "--min-score",
    type=Share(),
    help="Answer uncertain where no emotion is as probable as this, as 0.5.",
)
@speaker_options
@interpreter_options
@output_options(csv=_COLUMNS)
def command(
    plan: Plan,
    top: int | None,
    min_score: float | None,
    segment: float | None,
    step: float | None,
    no_gate: bool,
    srt: str | None,
    voice: Voice | None,
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Name the emotion in recordings.

    PATHS are audio files, folders, or - for a WAV file on standard input. Each result is
    one line: the file, the most probable emotion, its probability, and the runner-up.
    """
    if segment is None:
        for option, given in (("--step", step), ("--no-gate", no_gate), ("--srt", srt)):
            if given:
                raise click.UsageError(f"{option} needs --segment")
    if plan.paths.count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read once only")
    if STDIN in (*plan.paths, plan.listed) and sys.stdin.isatty():
        raise click.UsageError("nothing is piped into standard input (-)")
    if srt is not None and plan.large:
        raise click.UsageError("--srt is for one recording, not for an archive")
    if srt == STDIN and output.style != "text":
        raise click.UsageError(f"--srt - and --{output.style} exclude each other")
    if plan.large:
        plan.check(output.style)
        from ser_edge.archive import classify_archive

        settings: dict[str, Any] = {"threads": threads, "segment": segment, "step": step}
        settings |= {"gate": not no_gate, "interpreter": interpreter, "delegate": delegate}
        settings["voice"] = voice
        return classify_archive(plan, model, settings, top, min_score, output)
    recordings = list(find_recordings(plan.paths))
    if srt is not None and len(recordings) != 1:
        raise click.UsageError(f"--srt is for one recording, not for {len(recordings)}")
    from ser_edge.lines import Lines
    from ser_edge_runtime.classifier import Classifier

    classifier = Classifier.load(model, threads=threads, interpreter=interpreter, delegate=delegate)
    if voice is not None:
        classifier = classifier.for_speaker(voice)
    output.columns = (*_COLUMNS, *classifier.labels)
    lines = Lines(
        classifier.labels,
        max((len(recording.path) for recording in recordings), default=0),
        top=top,
        min_score=min_score,
        windowed=segment is not None,
    )
    captions = None if srt is None else _captions(srt)
    # On a terminal the results themselves show how far the work is.
    with output.progress("classifying", shown=not sys.stdout.isatty()) as progress:
        for done, recording in enumerate(recordings):
            progress(done, len(recordings))
            results = _classify(classifier, recording, segment, step, gated=not no_gate)
            count = 0
            while True:
                try:
                    result = next(results, None)
                    if result is None and not count:
                        raise NoSpeech(recording.path)
                except SerEdgeError as fault:
                    output.error(fault, {"path": recording.path, "error": str(fault)})
                    break
                except OSError as fault:
                    words = describe_os_error(fault)
                    output.error(words, {"path": recording.path, "error": words})
                    break
                # Outside the try: a full disk or a closed pipe is no fault of the recording.
                if result is None:
                    break
                count += 1
                if captions is not None:
                    captions.push(result if min_score is None else result.or_uncertain(min_score))
                if srt != STDIN:
                    output.record(
                        lines.values(recording.path, result, flat=output.style == "csv"),
                        lines.text(recording.path, result),
                    )
        # Half a recording's subtitles would look like those of the whole.
        if captions is not None and not output.exit_code:
            captions.close()
    return output.exit_code


def _captions(name: str) -> Captions:
    """Subtitles to a file, written when they are complete, or to standard output."""
    from ser_edge.captions import Captions

    if name == STDIN:
        return Captions(sys.stdout.write)
    # A folder that is missing is known before hours are classified.
    out_file("--srt", name)
    return Captions(path=name)


def _classify(
    classifier: Classifier,
    recording: Recording,
    segment: float | None,
    step: float | None,
    *,
    gated: bool,
) -> Iterator[Result]:
    if recording.fault is not None:
        raise recording.fault
    if recording.path == STDIN:
        from ser_edge_runtime.audio import check_sound, decode_wav
        from ser_edge_runtime.pcm import loudest

        samples, rate = decode_wav(sys.stdin.buffer.read(), STDIN)
        if segment is None:
            check_sound(loudest(samples), STDIN)
            yield classifier.classify(samples, rate)
        else:
            yield from _windows(classifier, [samples], rate, segment, step, gated=gated)
    elif segment is None:
        yield classifier.classify_file(recording.path)
    else:
        from ser_edge_runtime.audio import AudioFile

        with AudioFile(recording.path) as sound:
            rate = sound.sample_rate
            yield from _windows(classifier, sound, rate, segment, step, gated=gated)


def _windows(
    classifier: Classifier,
    portions: Iterable[Samples],
    rate: int,
    segment: float,
    step: float | None,
    *,
    gated: bool,
) -> Iterator[Result]:
    from ser_edge_runtime.classifier import GATE

    try:
        return classifier.windows_of(
            portions, rate, segment, segment if step is None else step, GATE if gated else None
        )
    except WindowError as fault:
        raise click.UsageError(str(fault)) from None
