"""``ser-edge blame``: which layers of a network int8 ruins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ser_edge.extras import need
from ser_edge.options import (
    calibration_options,
    moved_data_option,
    store_option,
)
from ser_edge.output import Output, output_options
from ser_edge_convert.targets import TARGETS
from ser_edge_runtime.wording import in_points

if TYPE_CHECKING:
    from ser_edge_convert.blame import Blame, Suspect
    from ser_edge_convert.tensor_errors import TensorError
    from ser_edge_convert.trials import Loss


@click.command(
    "blame",
    epilog="""\b
Examples:
  ser-edge blame runs/first
  ser-edge blame runs/first --target ethos-u --json > blame.json
  ser-edge convert runs/first --variant int8 --repair --out model.tflite

First the weights alone are rounded to int8, then the activations alone. Then each layer's
turn comes: alone in int8, and alone in floats. Its cost is the mean change of a
probability that it brings, as the first of all and as the last; "recovered" are the points
of accuracy or UAR that come back when it alone stays in floats, "place" its place by that.
"own" is the error of its output where it alone is in int8, "arrived" where all are: signal
to noise in dB, and the cosine.

Everything is measured on the run's validation speakers. --repair of ser-edge convert
leaves a few of these layers in floats, those of the fewest weights, that bring the file
within its gate.""",
)
@click.argument("run")
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    default="cpu",
    show_default=True,
    help="Where the model will run; decides the form of LSTM layers.",
)
@calibration_options
@moved_data_option
@store_option
@output_options()
def command(
    run: str,
    target: str,
    calibration_size: int,
    seed: int,
    data: str | None,
    store: Path,
    output: Output,
) -> int:
    """Find the layers that int8 ruins.

    RUN is a folder that `ser-edge train` wrote.
    """
    need("convert", "conversion")
    from ser_edge_convert.blaming import blame_run
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.run_directory import RunDirectory

    with output.progress("calibrating") as progress:
        found = blame_run(
            RunDirectory.open(run),
            store=store,
            target=target,
            calibration_size=calibration_size,
            calibration_seed=seed,
            manifest=None if data is None else Manifest.read(data),
            progress=progress.stage,
        )
    for line in _lines(found):
        output.text(line)
    output.record({"run": run, "target": target} | found.to_dict())
    return output.exit_code


def _lines(found: Blame) -> list[str]:
    before = found.before
    places = {name: place for place, name in enumerate(found.ranking_by_accuracy, start=1)}
    by_name = {suspect.layer.name: suspect for suspect in found.suspects}
    width = max(5, *(len(name) for name in by_name))
    return [
        f"the network:       accuracy {100 * before['accuracy']:.2f} %, "
        f"UAR {100 * before['uar']:.2f} % on {before['clips']} validation clips",
        _loss_line("all in int8:", found.whole),
        _loss_line("weights alone:", found.weights),
        _loss_line("activations alone:", found.activations),
        "",
        f"{'layer':<{width}}    cost  recovered  place   own dB  cosine  arrived dB  cosine",
        *(_row(by_name[name], places[name], width) for name in found.ranking),
    ]


def _loss_line(what: str, loss: Loss) -> str:
    return (
        f"{what:<18} {in_points(loss.drop)} points lost, {100 * loss.agreement:.2f} % same class "
        f"or nearly tied, a probability moves by {loss.mean_difference:.4f}, at most "
        f"{loss.max_difference:.4f}"
    )


def _row(suspect: Suspect, place: int, width: int) -> str:
    return (
        f"{suspect.layer.name:<{width}}  {suspect.cost:6.4f}  {in_points(suspect.recovered):>9}"
        f"  {place:5}  {_error(suspect.own, 7)}  {_error(suspect.arrived, 10)}"
    )


def _error(error: TensorError | None, width: int) -> str:
    sqnr, cosine = ("-", "-") if error is None else (f"{error.sqnr:.1f}", f"{error.cosine:.4f}")
    return f"{sqnr:>{width}}  {cosine:>6}"
