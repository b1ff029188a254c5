"""The child of a :class:`ser_edge_convert.quantiser.Quantiser`.

``python -m ser_edge_convert.quantiser_child FOLDER``: calibrates the network whose job
lies in the folder, then makes one file for each line of JSON that it reads.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

import numpy as np

from ser_edge_convert.child import Desk
from ser_edge_convert.quantiser import MARK
from ser_edge_runtime.files import write_atomically, write_text_atomically


def serve(desk: Desk, requests: TextIO, answers: TextIO) -> None:
    """Calibrates, answers once, then once for each request, until there are no more.

    Raises:
        Unfit: The network is not of a kind that is converted.
    """
    from ser_edge_convert import export
    from ser_edge_convert.cell_clip import NO_CLIP, set_cell_clip
    from ser_edge_convert.graph import read_graph
    from ser_edge_convert.layers import layers_of, nodes_of
    from ser_edge_convert.quantisation import calibrate, quantise

    job = desk.read_job()
    model, _ = export.ask(desk, job)
    copy, forms = export.one_clip_at_a_time(model, job)
    kinds = export.layer_kinds(copy)
    features = np.load(desk.calibration, mmap_mode="r")
    calibrated = calibrate(export.make_converter(copy, "int8", features))
    graph = read_graph(calibrated)
    layers = layers_of(graph, kinds)
    # The float graph is run too; only calibration wants a bound on the cell state.
    write_atomically(desk.flatbuffer, set_cell_clip(calibrated, NO_CLIP))
    write_text_atomically(desk.facts, json.dumps({"recurrent": forms, "layers": kinds}))
    print(MARK, "ready", file=answers, flush=True)
    for line in requests:
        request = json.loads(line)
        nodes = nodes_of(graph, layers, request["float_layers"])
        write_atomically(desk.folder / request["out"], quantise(calibrated, nodes))
        print(MARK, "done", file=answers, flush=True)


def main(arguments: list[str]) -> int:
    """Serves the folder named."""
    desk = Desk(Path(arguments[0]))
    # TensorFlow's libraries print where they like: only the copy is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from ser_edge_convert.export import guarded

    return guarded(desk, lambda desk: serve(desk, sys.stdin, answers))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
