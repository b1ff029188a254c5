"""``ser-edge convert``: a network in, a model file out, and what that cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.conversions import COLUMNS, loss_lines, made_lines, outcome_line, outcome_record
from ser_edge.extras import need
from ser_edge.options import (
    OutFile,
    Seconds,
    Share,
    calibration_options,
    out_file,
    store_option,
)
from ser_edge.output import Output, output_options
from ser_edge_convert.targets import TARGETS
from ser_edge_convert.variants import VARIANTS

if TYPE_CHECKING:
    from ser_edge_convert.conversion import Conversion, Outcome
    from ser_edge_convert.inputs import Inputs

ALL = "all"
_MEANINGS = "\n".join(f"  {name:<9} {variant.meaning}" for name, variant in VARIANTS.items())


@click.command(
    "convert",
    epilog=f"""\b
Variants:
{_MEANINGS}
  all       each of these that network and target can have, side by side

\b
Examples:
  ser-edge convert runs/first --out model.tflite
  ser-edge convert runs/first --target ethos-u --out npu.tflite
  ser-edge convert runs/first --variant int8 --max-drop 0.01 --out model.tflite
  ser-edge convert runs/first --variant int8 --repair --min-agreement 0.98 --out model.tflite
  ser-edge convert runs/first --variant all --out models/
  ser-edge convert runs/first --out model.tflite --embed-frontend waveform.tflite
  ser-edge convert runs/first --target micro --out mcu.tflite --c-array firmware/model.c
  ser-edge convert --network mine.keras --front-end front_end.json --labels labels.txt
      --data manifest.csv --partition partition.csv --out mine.tflite

The file is compared with the network on the validation speakers before it is kept.
If it loses more than --max-drop, exit code 1, and only the report, FILE.report.json, stays.

--variant all writes FOLDER/NAME-VARIANT.tflite, or with --out x.tflite x-VARIANT.tflite.
A variant that network or target cannot have is listed with the reason; exit code 1 if one
of the others failed.

--network takes any Keras 3 file or SavedModel of one input and one row of outputs, made of
Keras' own layers. A softmax at its end is taken off: the runtime applies it.""",
)
@click.argument("run", required=False)
@click.option(
    "--out", required=True, metavar="FILE", help="Model file to write, .tflite; or a folder, "
    "with --variant all."
)  # fmt: skip
@click.option(
    "--embed-frontend",
    type=OutFile(),
    metavar="FILE",
    help="Also write FILE, one .tflite from samples to probabilities for apps without feature "
    "code (MediaPipe, Android, iOS, browsers).",
)
@click.option(
    "--embed-seconds",
    type=Seconds(),
    metavar="SECONDS",
    help="With --embed-frontend: length of its input; by default twice the clip's.",
)
@click.option(
    "--c-array",
    type=OutFile(),
    metavar="FILE",
    help="Write the model as a C array too, with what a front end in C needs in the header "
    "beside it; .c, .cc, .cpp or .cxx.",
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    help="Where the model will run; decides the variant and the form of LSTM layers. "
    "By default cpu.",
)
@click.option(
    "--variant",
    type=click.Choice([*VARIANTS, ALL]),
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
    "--min-agreement",
    type=Share(),
    default=0.0,
    help="Smallest share of clips that keep their class (0.98, as `ser-edge audit` asks); by "
    "default any.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Where an int8 file loses more, leave as few layers in floats as bring it within "
    "--max-drop and --min-agreement; see ser-edge blame.",
)
@calibration_options
@click.option(
    "--data",
    metavar="MANIFEST",
    help="Manifest of the recordings: of a run, if they were moved since; of --network, always.",
)
@click.option("--network", metavar="FILE", help="A network of your own instead of a run.")
@click.option("--front-end", metavar="FILE", help="With --network: its features, JSON.")
@click.option("--labels", metavar="FILE", help="With --network: its classes, a line each.")
@click.option(
    "--normaliser",
    metavar="FILE",
    help="With --network: mean and scale of its features, JSON; by default they are fed as "
    "they are.",
)
@click.option(
    "--partition",
    metavar="FILE",
    help="With --network: which clips it was trained on (they calibrate) and which are for "
    "validation, CSV.",
)
@click.option("--name", help="The model's name; by default the recipe's or the network's.")
@click.option("--licence", help="Licence of the weights, one line, as `ser-edge info` shows it.")
@store_option
@output_options()
def command(
    run: str | None,
    out: str,
    embed_frontend: Path | None,
    embed_seconds: float | None,
    c_array: Path | None,
    target: str | None,
    variant: str | None,
    max_drop: float,
    min_agreement: float,
    repair: bool,
    calibration_size: int,
    seed: int,
    data: str | None,
    name: str | None,
    licence: str | None,
    store: Path,
    output: Output,
    **described: str | None,
) -> int:
    """Convert a network into a model file and measure what was lost.

    RUN is a folder that `ser-edge train` wrote.
    """
    _check_source(run, data, described)
    path = _check_out(Path(out), many=variant == ALL)
    _check_embedding(embed_frontend, embed_seconds, many=variant == ALL)
    _check_c_array(c_array, many=variant == ALL)
    need("convert", "conversion")
    settings: dict[str, Any] = {
        "store": store,
        "target": target,
        "max_drop": max_drop,
        "min_agreement": min_agreement,
        "repair": repair,
        "calibration_size": calibration_size,
        "calibration_seed": seed,
        "name": name,
    }
    if licence is not None:
        settings["licence"] = licence
    with output.progress("converting") as progress:
        inputs = _inputs(run, data, described)
        settings["progress"] = progress.stage
        if variant == ALL:
            _convert_all(inputs, path, settings, output)
        else:
            made = _convert_one(inputs, path, variant, settings, output)
            if made is not None and embed_frontend is not None:
                _embed(made, embed_frontend, embed_seconds, output)
            if made is not None and c_array is not None:
                _write_c_array(made, c_array, output)
    return output.exit_code


def _check_source(run: str | None, data: str | None, described: dict[str, str | None]) -> None:
    """Either a run, or a network with all that describes it."""
    given = {name: value for name, value in described.items() if value is not None}
    if "network" not in given:
        if run is None:
            raise click.UsageError("name a run, or a network with --network")
        if given:
            option = next(iter(given)).replace("_", "-")
            raise click.UsageError(f"--{option} goes with --network; a run has its own")
        return
    if run is not None:
        raise click.UsageError("a run and --network exclude each other")
    needed = given | ({} if data is None else {"data": data})
    for name in ("front_end", "labels", "data", "partition"):
        if name not in needed:
            raise click.UsageError(f"--network needs --{name.replace('_', '-')} as well")


def _check_out(out: Path, *, many: bool) -> Path:
    """One file to write; for many a folder, or a name that each one's file begins with."""
    if not many or out.suffix == ".tflite":
        return out_file("--out", out)
    if out.exists() and not out.is_dir():
        raise click.UsageError(f"{out} is a file; name a folder, or a file that ends in .tflite")
    if not out.parent.is_dir():
        raise click.UsageError(f"the folder of {out} does not exist; create it first")
    return out


def _inputs(run: str | None, data: str | None, described: dict[str, str | None]) -> Inputs:
    from ser_edge_convert.inputs import RunInputs
    from ser_edge_convert.network_inputs import NetworkInputs
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.run_directory import RunDirectory

    if run is not None:
        manifest = None if data is None else Manifest.read(data)
        return RunInputs.read(RunDirectory.open(run), manifest)
    files = {name: Path(value) for name, value in described.items() if value is not None}
    return NetworkInputs.read(files.pop("network"), data=Path(data or ""), **files)


def _check_embedding(path: Path | None, seconds: float | None, *, many: bool) -> None:
    """One model to put the front end in front of."""
    if path is None and seconds is not None:
        raise click.UsageError("--embed-seconds goes with --embed-frontend")
    if path is not None and many:
        raise click.UsageError("--embed-frontend takes one variant; name it with --variant")


def _check_c_array(path: Path | None, *, many: bool) -> None:
    """One model, and a name that a C compiler takes."""
    if path is None:
        return
    if many:
        raise click.UsageError("--c-array takes one variant; name it with --variant")
    need("convert", "conversion")
    from ser_edge_convert.c_array import check_name
    from ser_edge_convert.errors import OutputFailed

    try:
        check_name(path)
    except OutputFailed as fault:
        raise click.UsageError(f"--c-array {fault}") from None


def _convert_one(
    inputs: Inputs,
    path: Path,
    variant: str | None,
    settings: dict[str, Any],
    output: Output,
) -> Conversion | None:
    """Converts and tells of it; None if the file was not kept."""
    from ser_edge_convert.conversion import convert
    from ser_edge_convert.errors import GateFailed

    try:
        made = convert(inputs, path, variant=variant, **settings)
    except GateFailed as fault:
        _warn("", fault.report, output)
        output.record(fault.report)
        for line in loss_lines(fault.report):
            output.text(line)
        output.error(fault)
        return None
    _warn("", made.report, output)
    output.record(made.report)
    for line in made_lines(made):
        output.text(line)
    return made


def _embed(made: Conversion, path: Path, seconds: float | None, output: Output) -> None:
    from ser_edge_convert.waveform_in import write_waveform_model
    from ser_edge_runtime.model_file import read_model_file

    waveform = write_waveform_model(read_model_file(made.path), path, seconds)
    output.text(
        f"wrote {path}: from {waveform.samples} samples at {waveform.sample_rate} Hz to "
        f"probabilities, {len(waveform.data) / 1000:.0f} KB"
    )


def _write_c_array(made: Conversion, path: Path, output: Output) -> None:
    from ser_edge_convert.c_array import write_c_array
    from ser_edge_runtime.model_file import read_model_file

    write_c_array(read_model_file(made.path), path)
    output.text(f"wrote {path} and {path.with_suffix('.h')}")


def _convert_all(inputs: Inputs, out: Path, settings: dict[str, Any], output: Output) -> None:
    from ser_edge_convert.conversion import convert_each

    if out.suffix != ".tflite":
        out.mkdir(exist_ok=True)
        out = out / f"{re.sub(r'[^0-9A-Za-z_-]+', '-', settings['name'] or inputs.name)}.tflite"

    def tell(outcome: Outcome) -> None:
        if outcome.report is not None:
            _warn(f"{outcome.variant}: ", outcome.report, output)
        output.record(outcome_record(outcome))
        output.text(outcome_line(outcome))

    output.text(COLUMNS)
    outcomes = convert_each(
        inputs, lambda name: out.with_name(f"{out.stem}-{name}.tflite"), ended=tell, **settings
    )
    for outcome in outcomes:
        if outcome.refused:
            output.text(f"{outcome.variant}: {outcome.fault}")
        elif outcome.conversion is not None:
            output.text(f"wrote {outcome.conversion.path}")
        else:
            output.error(outcome.fault)


def _warn(which: str, report: dict[str, Any], output: Output) -> None:
    for warning in report["warnings"]:
        output.note(f"{which}{warning}")
