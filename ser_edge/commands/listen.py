"""``ser-edge listen``: a microphone or a pipe in, emotions while it goes on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any, cast

import click

from ser_edge.inputs import STDIN
from ser_edge.interrupt import Stop
from ser_edge.live import LiveLine
from ser_edge.options import Seconds, Share, interpreter_options, speaker_options
from ser_edge.output import Output, output_options
from ser_edge_runtime.errors import SerEdgeError, WindowError
from ser_edge_runtime.wording import counted

if TYPE_CHECKING:
    from io import BufferedReader

    from ser_edge_runtime import Classifier, Result, Smoothing, StreamingClassifier
    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.following import FollowingStream
    from ser_edge_runtime.microphone import Microphone
    from ser_edge_runtime.pcm_pipe import PcmPipe
    from ser_edge_runtime.resampling import Samples
    from ser_edge_runtime.service.served_model import LoadedModel, ServedModel
    from ser_edge_runtime.stream import Latency
    from ser_edge_runtime.voice import Voice

# As in ser_edge_runtime.pcm, which needs numpy.
_KINDS = ("u8", "s16le", "s24le", "s32le", "f32le", "f64le")
_PIPE_RATE = 16000


@click.command(
    "listen",
    epilog="""\b
Examples:
  ser-edge listen
  ser-edge listen --list-devices
  ser-edge listen --device usb --smooth --json > emotions.jsonl
  arecord -q -t raw -f S16_LE -r 16000 | ser-edge listen - --rate 16000
  ffmpeg -v quiet -i radio.mp3 -f wav - | ser-edge listen -

On a terminal one line shows the answer of the moment and a bar for each emotion; elsewhere
each result is a line of JSON. Ctrl-C ends it with a summary. The microphone needs
pip install 'ser-edge[mic]', a pipe needs nothing. A model file that is replaced, or switched
by ser-edge flash, is taken up between two results, if it passes its self-test, unless
--speaker binds to the model that heard the voice.""",
)
@click.argument("source", required=False, metavar="[-]")
@click.option("--device", metavar="NAME", help="Microphone: its number or a part of its name.")
@click.option("--list-devices", is_flag=True, help="List the microphones and end.")
@click.option(
    "--rate",
    type=click.IntRange(1000, 768000),
    help=f"Sample rate in Hz: of a pipe's raw samples, {_PIPE_RATE} unless said; or to record at.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(_KINDS),
    help="Type of a pipe's raw samples, s16le unless said. A WAV says itself what it is.",
)
@click.option("--channels", type=click.IntRange(1, 64), help="Channels of a pipe's raw samples.")
@click.option(
    "--segment",
    type=Seconds(),
    help="Seconds of a window; by default the model's clip length, and what it skips before it.",
)
@click.option(
    "--step",
    type=Seconds(),
    default=1.0,
    show_default=True,
    help="Seconds from one window to the next.",
)
@click.option("--no-gate", is_flag=True, help="Classify windows without speech too.")
@click.option("--smooth", is_flag=True, help="Average over time; keep a label until another leads.")
@click.option(
    "--half-life", type=Seconds(), help="Seconds until a result weighs half (--smooth; 2)."
)
@click.option("--margin", type=Share(), help="Lead that a new label needs (--smooth; 0.1).")
@click.option("--hold", type=Seconds(), help="Seconds that it must lead (--smooth; 0).")
@click.option("--seconds", "most", type=Seconds(), help="End after so many seconds of sound.")
@speaker_options
@interpreter_options
@output_options()
def command(
    source: str | None,
    device: str | None,
    list_devices: bool,
    rate: int | None,
    kind: str | None,
    channels: int | None,
    segment: float | None,
    step: float,
    no_gate: bool,
    smooth: bool,
    half_life: float | None,
    margin: float | None,
    hold: float | None,
    most: float | None,
    voice: Voice | None,
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Name the emotion in live sound.

    Sound comes from the microphone, or with - from a pipe: raw samples, or a WAV without end.
    """
    if list_devices:
        return _list_devices(output)
    if source not in (None, STDIN):
        raise click.UsageError(f"{source} is no live sound; use ser-edge classify, or - for a pipe")
    if source is None and (kind or channels):
        raise click.UsageError("--format and --channels are for a pipe (-)")
    if source == STDIN and device is not None:
        raise click.UsageError("--device is for the microphone, not for a pipe (-)")
    if source == STDIN and sys.stdin.isatty():
        raise click.UsageError("nothing is piped into standard input (-)")
    named = {"half_life": half_life, "margin": margin, "hold": hold}
    given = {name: value for name, value in named.items() if value is not None}
    if given and not smooth:
        raise click.UsageError(f"--{next(iter(given)).replace('_', '-')} needs --smooth")
    from ser_edge_runtime.classifier import GATE, Classifier
    from ser_edge_runtime.service.served_model import ServedModel
    from ser_edge_runtime.smoothing import Smoothing
    from ser_edge_runtime.stream import StreamingClassifier

    def begin(classifier: Classifier) -> StreamingClassifier:
        gate = None if no_gate else GATE
        return StreamingClassifier(classifier, segment=segment, step=step, gate=gate)

    stream: StreamingClassifier | FollowingStream
    try:
        if model is None or voice is not None:
            # A voice belongs to this model: another that takes its place is not followed.
            classifier = Classifier.load(
                model, threads=threads, interpreter=interpreter, delegate=delegate
            )
            stream = begin(classifier if voice is None else classifier.for_speaker(voice))
        else:
            stream = _following(
                ServedModel(model, threads=threads, interpreter=interpreter, delegate=delegate),
                begin,
                output,
            )
    except WindowError as fault:
        raise click.UsageError(str(fault)) from None
    listening = _Listening(stream, Smoothing(**given) if smooth else None, output)
    whole = False
    with Stop() as stop:
        try:
            if source is None:
                from ser_edge_runtime.microphone import Microphone

                number = int(device) if device is not None and device.isdecimal() else device
                with Microphone(number, rate) as sound:
                    output.note(f"listening to {sound.name} at {sound.sample_rate} Hz; Ctrl-C ends")
                    listening.hear(stop.until(_first(sound, most, sound.sample_rate)), sound)
            else:
                pipe = stop.wait(lambda: _pipe(rate, kind, channels))
                if pipe is not None:
                    listening.hear(stop.until(_first(pipe, most, pipe.sample_rate)), pipe)
            whole = True
        finally:
            listening.summarise(whole=whole)
    return output.exit_code


def _following(
    served: ServedModel, begin: Callable[[Classifier], StreamingClassifier], output: Output
) -> FollowingStream:
    from ser_edge_runtime.following import FollowingStream

    def told(news: LoadedModel | SerEdgeError) -> None:
        if isinstance(news, SerEdgeError):
            output.note(f"ser-edge: the model in use stays: {news}")
        else:
            name = news.model_file.metadata.name
            output.note(f"model now in use: {name} ({news.sha256[:12]})")

    served.on_change = told
    return FollowingStream(served, begin)


def _pipe(rate: int | None, kind: str | None, channels: int | None) -> PcmPipe:
    from ser_edge_runtime.pcm_pipe import PcmPipe

    stream = cast("BufferedReader", sys.stdin.buffer)
    return PcmPipe(stream, STDIN, rate or _PIPE_RATE, kind or "s16le", channels or 1)


class _Listening:
    """One stream from its first sample to its summary."""

    def __init__(
        self,
        stream: StreamingClassifier | FollowingStream,
        smoothing: Smoothing | None,
        output: Output,
    ) -> None:
        self._stream = stream
        self._smoothing = smoothing
        self._live: LiveLine | None = None
        if output.style == "text":
            if sys.stdout.isatty():
                self._live = LiveLine()
            else:
                output.style = "json"
        self._output = output
        self._answers: Counter[str] = Counter()
        self._labels: Set[str] = frozenset()
        self._heard = 0.0
        self._overruns = 0
        self._cut = self._silent = 0
        self._worst = [0.0, 0.0]
        self._total = [0.0, 0.0]

    def hear(self, portions: Iterable[Samples], sound: Microphone | PcmPipe) -> None:
        """Classifies until the sound ends."""
        stream = self._stream
        if self._live is not None:
            self._live.draw(0.0, "...", dict.fromkeys(stream.classifier.labels, 0.0))
        for portion in portions:
            silent = stream.silent
            results = stream.push(portion, sound.sample_rate)
            self._heard = stream.seconds
            self._tell(results, silence=stream.silent > silent)
            self._count_overruns(getattr(sound, "overruns", 0))
        self._tell(stream.flush(), silence=False)

    def summarise(self, *, whole: bool) -> None:
        """What was heard, on stderr; nothing where a fault came before any sound."""
        if self._live is not None:
            self._live.leave()
        if not (whole or self._heard):
            return
        note = self._output.note
        note(
            f"{self._heard:.1f} s heard: {counted(self._cut, 'window')}, "
            f"{self._silent} without speech, {counted(self._overruns, 'overrun')}"
        )
        count = sum(self._answers.values())
        if not count:
            return
        shares = (f"{label} {100 * n / count:.0f} %" for label, n in self._answers.most_common())
        note("; ".join(shares))
        audio, compute = (total / count for total in self._total)
        note(
            f"a result came {1000 * audio:.0f} ms of sound after its window (at most "
            f"{1000 * self._worst[0]:.0f}) and took {1000 * compute:.1f} ms (at most "
            f"{1000 * self._worst[1]:.1f})"
        )

    def _tell(self, results: list[Result], *, silence: bool) -> None:
        stream = self._stream
        self._cut, self._silent = stream.cut, stream.silent
        for result, latency in zip(results, stream.latencies, strict=True):
            if self._smoothing is not None and result.scores.keys() != self._labels:
                self._smoothing.reset()  # another model's classes cannot be averaged with these
            self._labels = result.scores.keys()
            answer = result if self._smoothing is None else self._smoothing.push(result)
            self._answers[answer.label] += 1
            self._measure(latency)
            if self._live is None:
                self._output.record(self._values(answer, latency))
            else:
                self._live.draw(result.end, answer.label, answer.scores)
        if silence and not results and self._live is not None:
            nothing = dict.fromkeys(stream.classifier.labels, 0.0)
            self._live.draw(stream.seconds, "no speech", nothing)

    def _measure(self, latency: Latency) -> None:
        for at, seconds in enumerate(latency):
            self._total[at] += seconds
            self._worst[at] = max(self._worst[at], seconds)

    @staticmethod
    def _values(result: Result, latency: Latency) -> dict[str, Any]:
        return {
            "start": result.start,
            "end": result.end,
            "label": result.label,
            "score": result.score,
            "scores": result.scores,
            "seconds": result.seconds,
            "latency": {"audio": latency.audio_seconds, "compute": latency.compute_seconds},
        }

    def _count_overruns(self, overruns: int) -> None:
        if overruns == self._overruns:
            return
        if self._live is not None:
            self._live.leave()
        lost = counted(overruns - self._overruns, "overrun")
        self._output.note(f"at {self._heard:.1f} s: {lost}; sound was lost")
        self._overruns = overruns


def _first(portions: Iterable[Samples], most: float | None, rate: int) -> Iterator[Samples]:
    """The portions up to so many seconds."""
    left = None if most is None else round(most * rate)
    for portion in portions:
        yield portion if left is None else portion[:left]
        if left is not None:
            left -= len(portion)
            if left <= 0:
                return


def _list_devices(output: Output) -> int:
    from ser_edge_runtime.microphone import input_devices

    devices = input_devices()
    for device in devices:
        output.record(
            device._asdict(),
            f"{device.number:3} {'*' if device.default else ' '} {device.name}, "
            f"{device.channels} channels, {device.sample_rate} Hz",
        )
    if not devices:
        output.note("ser-edge: no microphone was found")
    return int(not devices)
