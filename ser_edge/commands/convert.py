"""``ser-edge convert``: a run in, a model file out, and what that cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.extras import need
from ser_edge.options import OutFile, Share, default_store, store_option
from ser_edge.output import Output, output_options
from ser_edge_convert.targets import TARGETS
from ser_edge_convert.variants import VARIANTS

if TYPE_CHECKING:
    from ser_edge_convert.conversion import Conversion

_MEANINGS = "\n".join(f"  {name:<9} {variant.meaning}" for name, variant in VARIANTS.items())


@click.command(
    "convert",
    epilog=f"""\b
Variants:
{_MEANINGS}

\b
Examples:
  ser-edge convert runs/first --out model.tflite
  ser-edge convert runs/first --target ethos-u --out npu.tflite
  ser-edge convert runs/first --variant int8 --max-drop 0.01 --out model.tflite

The file is compared with the network on the run's validation speakers before it is kept.
If it loses more than --max-drop, exit code 1, and only the report, FILE.report.json, stays.""",
)
@click.argument("run")
@click.option(
    "--out", type=OutFile(), required=True, metavar="FILE", help="Model file to write, .tflite."
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    help="Where the model will run; decides the variant and the form of LSTM layers. "
    "By default cpu.",
)
@click.option(
    "--variant",
    type=click.Choice(list(VARIANTS)),
    help="How the numbers are written; by default what suits the target.",
)
@click.option(
    "--max-drop",
    type=Share(),
    default=0.02,
    show_default=True,
    help="Largest loss of accuracy or UAR allowed, as a share (0.02: two points).",
)
@click.option(
    "--calibration-size",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Clips of training speakers that show the range of activations.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Chooses the calibration clips.",
)
@click.option(
    "--data", metavar="MANIFEST", help="Manifest of the recordings, if they were moved since."
)
@click.option("--name", help="The model's name; by default the recipe's.")
@click.option("--licence", help="Licence of the weights, one line, as `ser-edge info` shows it.")
@store_option
@output_options()
def command(
    run: str,
    out: Path,
    target: str | None,
    variant: str | None,
    max_drop: float,
    calibration_size: int,
    seed: int,
    data: str | None,
    name: str | None,
    licence: str | None,
    store: str | None,
    output: Output,
) -> int:
    """Convert a run into a model file and measure what was lost.

    RUN is a folder that `ser-edge train` wrote.
    """
    need("convert", "conversion")
    from ser_edge_convert.conversion import convert
    from ser_edge_convert.errors import GateFailed
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.run_directory import RunDirectory

    with output.progress("converting") as progress:
        try:
            made = convert(
                RunDirectory.open(run),
                out,
                store=default_store() if store is None else Path(store),
                target=target,
                variant=variant,
                max_drop=max_drop,
                calibration_size=calibration_size,
                calibration_seed=seed,
                manifest=None if data is None else Manifest.read(data),
                name=name,
                progress=progress.stage,
                **({} if licence is None else {"licence": licence}),
            )
        except GateFailed as fault:
            report = json.loads(Path(fault.report_path).read_text(encoding="utf-8"))
            for line in _losses(report):
                output.text(line)
            output.record({"path": str(out), "report": str(fault.report_path), **report})
            output.error(fault)
            return output.exit_code
    for line in _lines(made):
        output.text(line)
    output.record({"path": str(made.path), "report": str(made.report_path), **made.report})
    return output.exit_code


def _losses(report: dict[str, Any]) -> list[str]:
    before, after = report["validation"]["before"], report["validation"]["after"]
    gate = report["gate"]
    return [
        f"validation: {before['clips']} clips of {report['validation']['speakers']} speakers",
        f"accuracy:   {before['accuracy']:.4f} before, {after['accuracy']:.4f} after",
        f"UAR:        {before['uar']:.4f} before, {after['uar']:.4f} after",
        f"loss:       {100 * gate['drop']:.2f} points, {100 * gate['max_drop']:g} allowed",
    ]


def _lines(made: Conversion) -> list[str]:
    report = made.report
    plan, agreement = report["plan"], report["agreement"]
    return [
        *_losses(report),
        f"same class: {agreement['same']} of {agreement['clips']} clips, "
        f"largest difference of a probability {agreement['max_difference']:.4f}",
        f"wrote {made.path}: {plan['variant']} for {plan['target']}, "
        f"{report['file']['bytes'] / 1000:.0f} KB",
        f"wrote {made.report_path}",
    ]
