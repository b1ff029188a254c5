"""``ser-edge pack``: a plain ``.tflite`` in, a model file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.extras import need
from ser_edge.options import OutFile
from ser_edge.output import Output, output_options
from ser_edge_convert.targets import TARGETS

if TYPE_CHECKING:
    from ser_edge_convert.packing import Packed


@click.command(
    "pack",
    epilog="""\b
Examples:
  ser-edge pack mine.tflite --front-end front_end.json --labels labels.txt --out model.tflite
  ser-edge pack model_edgetpu.tflite --like model.tflite --target edgetpu --out coral.tflite

A plain .tflite takes normalised features and gives a row of logits; a softmax at its end is
taken off, as the runtime applies it. What computes its features, FRONT_END, is the JSON that
a run directory keeps as front_end.json.

A compiler for a device loses what a model file carries behind the graph: --like takes labels,
front end, scores and golden vectors from the model file that was compiled. They are held
against the compiled graph, unless no interpreter here can run it: then that is said.""",
)
@click.argument("plain")
@click.option(
    "--out", type=OutFile(), required=True, metavar="FILE", help="Model file to write, .tflite."
)
@click.option("--like", metavar="MODEL", help="Model file from which the plain one was compiled.")
@click.option("--front-end", metavar="FILE", help="What computes its features, JSON.")
@click.option("--labels", metavar="FILE", help="Its classes, a line each.")
@click.option(
    "--normaliser",
    metavar="FILE",
    help="Mean and scale of its features, JSON; by default they are fed as they are.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(1e-3, 1e3),
    help="The logits are divided by it before the softmax; by default 1.",
)
@click.option("--name", help="The model's name; by default the file's.")
@click.option("--licence", help="Licence of the weights, one line.")
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    help="Where the model will run; by default cpu, or that of --like.",
)
@output_options()
def command(
    plain: str, out: Path, like: str | None, target: str | None, output: Output, **described: Any
) -> int:
    """Make a model file of a plain TFLite model.

    PLAIN is any .tflite of one input and one output, also after a device's compiler.
    """
    given = {name: value for name, value in described.items() if value is not None}
    if like is not None and given:
        option = next(iter(given)).replace("_", "-")
        raise click.UsageError(f"--{option} and --like exclude each other")
    for name in () if like is not None else ("front_end", "labels"):
        if name not in given:
            raise click.UsageError(f"name --{name.replace('_', '-')} as well, or --like a model")
    need("convert", "packing", "ai_edge_litert", "flatbuffers")
    from ser_edge_convert.packing import pack, pack_like
    from ser_edge_runtime.files import write_atomically
    from ser_edge_runtime.model_file import read_model_file

    if like is not None:
        packed = pack_like(Path(plain), read_model_file(like), target=target)
    else:
        for name in ("front_end", "labels", "normaliser"):
            if name in given:
                given[name] = Path(given[name])
        packed = pack(Path(plain), target=target or "cpu", **given)
    write_atomically(out, packed.data)
    _print(packed, out, output)
    return output.exit_code


def _print(packed: Packed, out: Path, output: Output) -> None:
    output.record(
        {
            "file": str(out),
            "bytes": len(packed.data),
            "variant": packed.variant,
            "softmax_taken_off": packed.softmax,
            "golden": packed.golden,
        }
    )
    if packed.softmax:
        output.text("took off the softmax at its end: the runtime applies it")
    if packed.golden not in ("held", "made"):
        output.note(f"golden vectors not checked, the graph does not run here: {packed.golden}")
    elif packed.golden == "held":
        output.text("golden vectors hold")
    output.text(f"wrote {out}: {packed.variant}, {len(packed.data) / 1000:.0f} KB")
