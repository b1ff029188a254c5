"""``ser-edge enrol``: adapt a model to a voice from a few clips of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ser_edge.inputs import STDIN, find_recordings
from ser_edge.options import interpreter_options, voices_option
from ser_edge.output import Output, describe_os_error, output_options
from ser_edge_runtime.errors import SerEdgeError

if TYPE_CHECKING:
    from ser_edge_runtime import Classifier, Result, Voices
    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.voice import Voice


@click.command(
    "enrol",
    epilog="""\b
Examples:
  ser-edge enrol anna recordings-of-anna/
  ser-edge classify new.wav --speaker anna
  ser-edge listen --speaker anna
  ser-edge enrol anna more/*.wav --add
  ser-edge enrol --list
  ser-edge enrol anna --remove

Fifteen clips at least, of a few seconds each, in which the voice sounds different: what is
learnt is how the model leans on this voice, and clips of one mood cannot show that. Nobody
needs to say what the moods are. A voice belongs to the model that it was enrolled with. Its
file holds the model's answers and no sound.""",
)
@click.argument("name", required=False, metavar="[NAME]")
@click.argument("paths", nargs=-1, metavar="[CLIPS]...")
@click.option("--add", is_flag=True, help="Add the clips to a voice that is enrolled already.")
@click.option("--list", "listing", is_flag=True, help="List the enrolled voices and end.")
@click.option("--remove", is_flag=True, help="Forget the voice and end.")
@voices_option
@interpreter_options
@output_options()
def command(
    name: str | None,
    paths: tuple[str, ...],
    add: bool,
    listing: bool,
    remove: bool,
    voices: str | None,
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Adapt a model to a voice.

    CLIPS are recordings of one person, or folders of them. classify and listen then take the
    person's name as --speaker.
    """
    _check(name, paths, add=add, listing=listing, remove=remove)
    from ser_edge_runtime.voices import KnownVoice, Voices

    kept = Voices(voices)
    if name is None:
        return _list(kept, output)
    if remove:
        path = kept.remove(name)
        output.record({"name": name, "removed": str(path)}, f"{path} removed")
        return 0
    before = kept.read(name) if add else None
    if before is None and name in kept:
        raise KnownVoice(name)
    from ser_edge_runtime.classifier import Classifier
    from ser_edge_runtime.voice import Voice

    classifier = Classifier.load(model, threads=threads, interpreter=interpreter, delegate=delegate)
    metadata = classifier.model_file.metadata
    if before is not None:
        before.check_model(metadata, classifier.model_file.name)
    voice = Voice.enrolled(name, metadata, _results(classifier, paths, output), before)
    path = kept.write(voice)
    output.record(_values(voice) | {"file": str(path)}, _text(voice))
    if voice.trust < 1:
        output.note(
            f"ser-edge: the clips of {voice.name} sound alike, so {100 * voice.trust:.0f} % of the "
            "correction is applied; add clips in which the voice sounds different, with --add"
        )
    return output.exit_code


def _check(
    name: str | None, paths: tuple[str, ...], *, add: bool, listing: bool, remove: bool
) -> None:
    if listing:
        if name is not None or add or remove:
            raise click.UsageError("--list takes no name and no other option")
    elif name is None:
        raise click.UsageError("name the voice and recordings of it")
    elif remove:
        if paths or add:
            raise click.UsageError("--remove takes the name of a voice alone")
    elif not paths:
        raise click.UsageError(f"name recordings of {name}, or folders of them")
    elif STDIN in paths:
        raise click.UsageError("clips are files or folders, not standard input (-)")


def _results(classifier: Classifier, paths: tuple[str, ...], output: Output) -> Iterator[Result]:
    """A result for each clip that can be read; the others are named on stderr."""
    recordings = list(find_recordings(paths))
    with output.progress("enrolling") as progress:
        for done, recording in enumerate(recordings):
            progress(done, len(recordings))
            try:
                if recording.fault is not None:
                    raise recording.fault
                result = classifier.classify_file(recording.path)
            except SerEdgeError as fault:
                output.error(fault, {"path": recording.path, "error": str(fault)})
            except OSError as fault:
                words = describe_os_error(fault)
                output.error(words, {"path": recording.path, "error": words})
            else:
                yield result


def _list(kept: Voices, output: Output) -> int:
    names = kept.names()
    for name in names:
        try:
            voice = kept.read(name)
        except SerEdgeError as fault:
            output.error(fault, {"name": name, "error": str(fault)})
        else:
            output.record(_values(voice) | {"file": str(kept.path_of(name))}, _text(voice))
    if not names:
        output.note(f"ser-edge: no voice is enrolled in {kept.folder}")
    return output.exit_code


def _values(voice: Voice) -> dict[str, Any]:
    return {
        "name": voice.name,
        "clips": voice.clips,
        "heard": voice.heard,
        "trust": voice.trust,
        "model": voice.model,
    }


def _text(voice: Voice) -> str:
    heard = sorted(voice.heard.items(), key=lambda pair: -pair[1])
    words = ", ".join(f"{label} {count}" for label, count in heard if count)
    return f"{voice.name}  {voice.clips} clips  heard as {words}"
