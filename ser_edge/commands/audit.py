"""``ser-edge audit``: what model files lost against the networks they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ser_edge.extras import need
from ser_edge.options import Share, interpreter_option, processes_option, store_option
from ser_edge.output import Output, output_options

HALF = 0.5
REPORTS = (".html", ".json", ".md", ".xml")


@click.command(
    "audit",
    epilog="""\b
Examples:
  ser-edge audit int8.tflite --reference runs/first
  ser-edge audit converted/*.tflite --reference runs/first --out reports/audit
  ser-edge audit fold1.tflite fold2.tflite --reference runs/fold1 --reference runs/fold2
  ser-edge audit int8.tflite --reference runs/first --max-drop 0.02 --max-drop-upper 0.04

A file belongs to the run whose network it was converted from, told by its digest. Files of one
variant, one of each run, are one variant: its clips are those of all runs together, each out of
its fold. The network's answers are those of the run's predictions.csv, so nothing is trained or
predicted anew, and no Keras is needed. Shares are not points: 0.005 is half a point.

Nothing is compared when a speaker of the clips was trained, validated or calibrated on, when
the recordings are others, or when the run's test part was not scored.

Exit code 1 when a variant lost more than the limits allow; a line each says what failed.""",
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--reference", "references", multiple=True, required=True, metavar="RUN",
              help="Run that models were converted from; may stand several times.")  # fmt: skip
@click.option("--data", metavar="MANIFEST", help="Manifest of the recordings, if they were moved "
              "since the run.")  # fmt: skip
@click.option("--part", type=click.Choice(("test", "validation")), default="test",
              show_default=True, help="Part to compare on.")  # fmt: skip
@click.option("--corpus", "corpora", multiple=True, metavar="NAME", help="Only clips of this "
              "corpus; may stand several times.")  # fmt: skip
@click.option("--max-drop", type=Share(), default=0.005, show_default=True,
              help="Largest fall of UAR.")  # fmt: skip
@click.option("--max-drop-upper", type=Share(), default=0.01, show_default=True,
              help="Largest upper end of the interval of UAR's fall.")  # fmt: skip
@click.option("--max-class-drop", type=Share(), default=0.03, show_default=True,
              help="Largest fall of the recall of a class with 200 clips; one with fewer fails "
              "when its whole interval lies beyond.")  # fmt: skip
@click.option("--min-agreement", type=Share(), default=0.98, show_default=True,
              help="Smallest share of clips that get the same answer.")  # fmt: skip
@click.option("--confidence", type=Share(), default=0.95, show_default=True,
              help="Coverage of the intervals, which have two sides; 0.5 to below 1.")  # fmt: skip
@click.option("--timed-clips", type=click.IntRange(0, 10_000), default=20, show_default=True,
              help="Clips to measure times on; 0 measures none.")  # fmt: skip
@click.option("--out", metavar="FOLDER", help="Folder to write audit.json, audit.md, audit.xml "
              "(JUnit) and audit.html in.")  # fmt: skip
@interpreter_option
@processes_option
@store_option
@output_options()
def command(
    models: tuple[str, ...],
    references: tuple[str, ...],
    data: str | None,
    part: str,
    corpora: tuple[str, ...],
    max_drop: float,
    max_drop_upper: float,
    max_class_drop: float,
    min_agreement: float,
    confidence: float,
    timed_clips: int,
    out: str | None,
    interpreter: str | None,
    processes: int | None,
    store: Path,
    output: Output,
) -> int:
    """Prove what conversion cost, on speakers never heard before.

    Accuracy, UAR, F1, recall of each class, answers that changed, size and speed of every
    variant against the trained network, with intervals resampled over speakers.
    """
    if not HALF <= confidence < 1:
        raise click.UsageError(f"--confidence {confidence} is not from 0.5 to below 1")
    if out is not None and Path(out).is_file():
        raise click.UsageError(f"--out {out} is a file; name a folder")
    if out is not None and Path(out).suffix in REPORTS and not Path(out).is_dir():
        raise click.UsageError(f"--out {out} is the name of one report; name a folder for all")
    need("convert", "an audit", "pydantic", "tomli_w", "flatbuffers")
    if out is not None:
        need("convert", "the audit's page", "jinja2", "matplotlib")
    from ser_edge_convert.audit import Limits, audit
    from ser_edge_train.manifest import Manifest

    limits = Limits(max_drop, max_drop_upper, max_class_drop, min_agreement, confidence)
    with output.progress("auditing") as progress:
        document = audit(
            models,
            references,
            store=store,
            limits=limits,
            part=part,
            recordings=None if data is None else Manifest.read(data),
            corpora=corpora,
            timed_clips=timed_clips,
            interpreter=interpreter,
            processes=processes,
            progress=progress.stage,
        )
    _print(document, output)
    if out is not None:
        from ser_edge_convert.audit.files import write_audit

        output.text(f"wrote {write_audit(document, out).page}")
    output.record(document)
    for variant in document["variants"]:
        failed = [row["text"] for row in variant["checks"] if not row["passed"]]
        if failed:
            output.error(f"{variant['name']}: failed: {'; '.join(failed)}")
    return output.exit_code


def _print(document: Mapping[str, Any], output: Output) -> None:
    from ser_edge_convert.audit.auditing import largest, worst_class
    from ser_edge_convert.audit.markdown import basis, in_points, interval, kilobytes

    output.text(basis(document))
    for variant in document["variants"]:
        drop, agreement = variant["drops"]["uar"], variant["agreement"]
        worst = worst_class(variant)
        most = "" if worst is None else f", {worst[0]} {in_points(worst[1])}"
        arena = largest(variant, "arena_bytes")
        latency = variant["latency"]
        times = (
            ""
            if latency is None
            else f", features {latency['features_ms']:.1f} ms, model {latency['model_ms']:.2f} ms"
        )
        output.text(
            f"{variant['name']}: {'passed' if variant['passed'] else 'FAILED'}: UAR "
            f"{100 * variant['scores']['uar']:.1f} %, falls by {in_points(drop['value'])} points "
            f"({interval(drop['interval'])}){most}"
        )
        output.text(
            f"  same answer {agreement['same']} of {agreement['clips']} "
            f"({100 * agreement['share']:.2f} %), {agreement['near_ties']} of the others within "
            f"two quanta; {kilobytes(largest(variant, 'bytes'))} KB, arena {kilobytes(arena)} KB"
            f"{times}"
        )
