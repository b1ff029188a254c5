"""``ser-edge calibration``: how much a conversion depends on the clips that calibrate it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.extras import need
from ser_edge.options import moved_data_option, store_option
from ser_edge.output import Output, output_options
from ser_edge_convert.targets import TARGETS
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.wording import counted, in_points

if TYPE_CHECKING:
    from ser_edge_convert.calibration_sweep import Sweep, Trial

LARGEST = 100_000


class Sizes(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 alone
    """Whole numbers with commas between them."""

    name = "sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Reads ``value``; anything but different numbers from 1 on is a usage error."""
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            sizes = ()
        if (
            not sizes
            or len(set(sizes)) < len(sizes)
            or not 1 <= min(sizes) <= max(sizes) <= LARGEST
        ):
            self.fail(
                f"{value!r} is no list of different numbers of clips, as 10,50,200", param, ctx
            )
        return sizes


@click.command(
    "calibration",
    epilog="""\b
Examples:
  ser-edge calibration runs/first
  ser-edge calibration runs/first --sizes 50,200,800 --seeds 5 --variant int8-io --json

Each size is converted with the clips of --seeds choices, all of training speakers, and every
file is measured on the validation speakers. No file is kept. The spread over the seeds says
how much of a difference between two conversions is chance.""",
)
@click.argument("run")
@click.option(
    "--sizes",
    type=Sizes(),
    default="10,50,200",
    show_default=True,
    help="Numbers of calibration clips.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Choices of clips for each size.",
)
@click.option(
    "--variant",
    type=click.Choice([name for name, variant in VARIANTS.items() if variant.calibrated]),
    default="int8",
    show_default=True,
    help="How the numbers are written.",
)
@click.option("--target", type=click.Choice(list(TARGETS)), help="Where the model will run.")
@moved_data_option
@store_option
@output_options()
def command(
    run: str,
    sizes: tuple[int, ...],
    seeds: int,
    variant: str,
    target: str | None,
    data: str | None,
    store: Path,
    output: Output,
) -> int:
    """Measure how much a conversion depends on its calibration clips.

    RUN is a folder that `ser-edge train` wrote.
    """
    need("convert", "conversion")
    from ser_edge_convert.calibration_sweep import sweep
    from ser_edge_convert.inputs import RunInputs
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.run_directory import RunDirectory

    def tell(trial: Trial) -> None:
        if trial.fault is not None:
            output.error(f"{trial.size} clips, seed {trial.seed}: {trial.fault}")
        output.text(_trial_line(trial))

    with output.progress("converting") as progress:
        manifest = None if data is None else Manifest.read(data)
        inputs = RunInputs.read(RunDirectory.open(run), manifest)
        output.text("clips  seed  accuracy     UAR    loss  agreement  beyond the range")
        found = sweep(
            inputs,
            store=store,
            sizes=sizes,
            seeds=seeds,
            variant=variant,
            target=target,
            progress=progress.stage,
            ended=tell,
        )
    output.record(found.to_dict())
    for line in _spread_lines(found):
        output.text(line)
    return output.exit_code


def _trial_line(trial: Trial) -> str:
    start = f"{trial.clips:>5}  {trial.seed:>4}"
    if trial.uar is None or trial.accuracy is None or trial.drop is None:
        return f"{start}  failed"
    assert trial.agreement is not None
    beyond = ", ".join(f"{end} {100 * x:.2f} %" for end, x in (trial.outside or {}).items())
    return (
        f"{start}  {100 * trial.accuracy:6.2f} %  {100 * trial.uar:6.2f} %  "
        f"{in_points(trial.drop):>5}  {100 * trial.agreement:7.2f} %  {beyond}"
    )


def _spread_lines(found: Sweep) -> list[str]:
    lines = []
    if found.before:
        lines.append(
            f"network: accuracy {100 * found.before['accuracy']:.2f} %, "
            f"UAR {100 * found.before['uar']:.2f} % on {found.validation['clips']} validation "
            f"clips of {found.validation['speakers']} speakers"
        )
    for row in found.spread():
        uar, agreement = row["uar"], row["agreement"]
        if uar is None:
            lines.append(f"{row['size']} clips: every conversion failed")
            continue
        lines.append(
            f"{row['size']} clips, {counted(row['seeds'], 'seed')}: UAR {100 * uar['mean']:.2f} % "
            f"({100 * uar['least']:.2f} to {100 * uar['greatest']:.2f}), "
            f"agreement {100 * agreement['mean']:.2f} % "
            f"({100 * agreement['least']:.2f} to {100 * agreement['greatest']:.2f})"
        )
    return lines
