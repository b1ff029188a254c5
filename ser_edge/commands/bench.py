"""``ser-edge bench``: how long a model takes here, part by part, and how much memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ser_edge.options import runner_options
from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    from ser_edge_runtime.benchmark import Benchmark, Change
    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.sensors import Health

_HEADING = 13


@click.command(
    "bench",
    epilog="""\b
Examples:
  ser-edge bench
  ser-edge bench model.tflite --threads 4 --json > four.json
  ser-edge bench model.tflite --against four.json

The clip is noise as long as the model's clips are. Times are the wall clock's, so other
work on the machine shows in them; p95 and p99 say how much.""",
)
@click.argument("model", required=False)
@click.option(
    "--runs",
    type=click.IntRange(1, 1_000_000),
    default=200,
    show_default=True,
    help="Steady runs.",
)
@click.option(
    "--warm-up",
    type=click.IntRange(0, 1_000_000),
    default=20,
    show_default=True,
    help="Runs between the first one and the steady ones.",
)
@click.option(
    "--against",
    metavar="FILE",
    help="Compare with an earlier measurement, as --json printed it.",
)
@runner_options
@output_options()
def command(
    model: str | None,
    runs: int,
    warm_up: int,
    against: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Measure how fast a model is on this machine.

    Loading, the first clip, the warm-up and steady runs, features and model apart; real-time
    factor, peak memory, and temperature and throttling where the system tells. Without
    MODEL, the default model.
    """
    from ser_edge_runtime.benchmark import changes, differences, measure, read_benchmark

    earlier = None if against is None else read_benchmark(against)
    with output.progress("measuring") as progress:
        found = measure(
            model,
            runs=runs,
            warm_up=warm_up,
            threads=threads,
            interpreter=interpreter,
            delegate=delegate,
            progress=progress,
        )
    values: dict[str, Any] = found.to_dict()
    if earlier is not None:
        compared = list(changes(earlier, values))
        others = differences(earlier, values)
        values["against"] = {
            "changes": [{**change._asdict(), "ratio": _finite(change)} for change in compared],
            "differences": others,
        }
    output.record(values)
    for line in lines(found):
        output.text(line)
    if earlier is not None:
        output.text()
        output.text(f"against {against} (below 1 is faster, or less):")
        for change in compared:
            output.text(f"  {change.figure:<17} {_words(change)}")
        for other in others:
            output.text(f"  not alike: {other}")
    return output.exit_code


def lines(found: Benchmark) -> Iterator[str]:
    """A measurement for people."""
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    rows = [
        ("model", f"{found.name} ({found.sha256[:12]})"),
        ("machine", f"{found.machine}, Python {found.python}"),
        ("interpreter", f"{found.interpreter}, {threads}"),
        ("delegate", found.delegate),
        ("clip", f"{found.clip_seconds:g} s"),
        ("imports", _time(found.imports)),
        ("load", _time(found.load)),
        ("first clip", _time(found.first)),
    ]
    if found.warm_up is not None:
        rows.append(("warm-up", f"{_time(found.warm_up.p50)} (median of {found.warm_up.runs})"))
    rows.append((f"{found.whole.runs} runs", "".join(f"{p:>12}" for p in ("p50", "p95", "p99"))))
    for name, spread in (
        ("  features", found.features),
        ("  model", found.model),
        ("  whole", found.whole),
    ):
        times = (spread.p50, spread.p95, spread.p99)
        rows.append((name, "".join(f"{_time(seconds):>12}" for seconds in times)))
    faster = 1 / found.real_time_factor if found.real_time_factor else float("inf")
    rows.append(
        ("real time", f"factor {found.real_time_factor:.5f}: {faster:.0f} times faster than sound")
    )
    memory = "the system does not tell" if found.memory is None else _mebibytes(found.memory)
    rows.append(("memory", f"{memory}, at its peak, of the whole process"))
    rows.append(("temperature", _temperature(found.before, found.after)))
    rows.append(("throttling", _throttling(found.before, found.after)))
    for heading, text in rows:
        yield f"{heading:<{_HEADING}}{text}"


def _temperature(before: Health, after: Health) -> str:
    zones = [
        f"{zone} {before.temperatures[zone]:.1f} to {degrees:.1f} °C"
        for zone, degrees in after.temperatures.items()
        if zone in before.temperatures
    ]
    return ", ".join(zones) or "the system does not tell"


def _throttling(before: Health, after: Health) -> str:
    words: list[str] = []
    if before.limits is not None and after.limits is not None:
        words += dict.fromkeys(before.limits + after.limits)
    if before.events is not None and after.events is not None and after.events > before.events:
        words.append(f"{after.events - before.events} times slowed down by heat meanwhile")
    if words:
        return ", ".join(words) + ": the times are not this machine's best"
    told = after.limits is not None or after.events is not None
    return "none" if told else "the system does not tell"


def _words(change: Change) -> str:
    unit = _mebibytes if change.figure == "memory" else _time
    if change.figure == "real_time_factor":
        unit = "{:.5f}".format
    return f"{unit(change.before):>10} -> {unit(change.after):>10}   x {change.ratio:.2f}"


def _finite(change: Change) -> float | None:
    return change.ratio if change.before else None


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _mebibytes(count: float) -> str:
    return f"{count / (1 << 20):.1f} MiB"
