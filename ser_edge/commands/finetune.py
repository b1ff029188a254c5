"""``ser-edge finetune``: a run in, a run out whose network bears int8 better."""

from __future__ import annotations

from pathlib import Path

import click

from ser_edge.commands.train import Listener, print_trained
from ser_edge.extras import need, quiet_tensorflow
from ser_edge.options import moved_data_option, processes_option, store_option
from ser_edge.output import Output, output_options


@click.command(
    "finetune",
    epilog="""\b
Examples:
  ser-edge finetune runs/first --run runs/first-int8
  ser-edge convert runs/first-int8 --variant int8 --out model.tflite
  ser-edge finetune runs/first --run runs/gentle --epochs 4 --learning-rate 0.0001
  ser-edge train --run runs/first-int8 --resume

The last rung, where int8 loses too much and neither another --variant nor --repair will do:
the network is fitted further with its weights and activations rounded as in an int8 file, on
the same partition. What is saved has layers of Keras alone and is converted like any run. The
validation scores that choose its epoch are those of the rounded network; the scores printed
at the end are those of the saved one, in floats. The test part is not looked at.""",
)
@click.argument("source", metavar="RUN")
@click.option("--run", required=True, metavar="FOLDER", help="Run directory to write.")
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True, help="Most epochs.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 10, min_open=True),
    help="Where it begins, to fall to zero; by default a tenth of the run's.",
)
@moved_data_option
@store_option
@processes_option
@output_options()
def command(
    source: str,
    run: str,
    epochs: int,
    learning_rate: float | None,
    data: str | None,
    store: Path,
    processes: int | None,
    output: Output,
) -> int:
    """Fine-tune a run's network so that int8 loses less.

    RUN is a folder that `ser-edge train` wrote.
    """
    need("train", "training")
    quiet_tensorflow()
    from ser_edge_train.fine_tuning import fine_tuning_recipe
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.partitions import Partition
    from ser_edge_train.plan import GIVEN
    from ser_edge_train.run_directory import RunDirectory
    from ser_edge_train.training import train

    origin = RunDirectory.open(source)
    recipe = fine_tuning_recipe(origin, epochs=epochs, learning_rate=learning_rate)
    with output.progress("fine-tuning") as progress:
        trained = train(
            recipe,
            Manifest.read(origin.manifest if data is None else data),
            run,
            store_root=store,
            processes=processes,
            progress=Listener(output, progress),
            partition=(Partition.read(origin.partition) if recipe.protocol.name == GIVEN else None),
            allow_leaks=True,  # those of the run, which its report names again
        )
    output.text("epochs: the network rounded to int8; what follows: the network in floats, as kept")
    print_trained(trained, output)
    output.text(f"next: ser-edge convert {trained.run.path} --variant int8 --out model.tflite")
    return output.exit_code
