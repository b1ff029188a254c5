"""The child of a :class:`ser_edge_convert.quantiser.Quantiser`.

``python -m ser_edge_convert.quantiser_child FOLDER``: calibrates the network whose job
lies in the folder, then makes one file for each line of JSON that it reads.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TextIO

import numpy as np

from ser_edge_convert.child import FAILED, Desk
from ser_edge_convert.quantiser import MARK
from ser_edge_runtime.files import write_atomically, write_text_atomically


def serve(desk: Desk, requests: TextIO, answers: TextIO) -> None:
    """Calibrates, answers once, then once for each request, until there are no more.

    Raises:
        Unfit: The network is not of a kind that is converted.
    """
    from ser_edge_convert import export
    from ser_edge_convert.cell_clip import NO_CLIP, set_cell_clip
    from ser_edge_convert.fused_lstm import prepare
    from ser_edge_convert.graph import read_graph
    from ser_edge_convert.layers import layers_of, nodes_of
    from ser_edge_convert.loading import read_network
    from ser_edge_convert.quantisation import calibrate, quantise
    from ser_edge_convert.saved_model import SavedNetwork

    job = desk.read_job()
    model, _ = read_network(job.model)
    probe = np.load(desk.probe, mmap_mode="r")
    buffer = io.BytesIO()
    np.save(buffer, export.network_logits(model, probe))
    write_atomically(desk.logits, buffer.getvalue())
    saved = isinstance(model, SavedNetwork)
    copy, forms = (model, {}) if saved else prepare(model, job.lstm)
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
    """Serves the folder named; a fault becomes one line in the folder."""
    desk = Desk(Path(arguments[0]))
    # TensorFlow's libraries print where they like: only the copy is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        serve(desk, sys.stdin, answers)
    except Exception as fault:
        from ser_edge_convert.loading import Unfit, first_line

        if isinstance(fault, Unfit):
            desk.write_failure(str(fault), unfit=True)
        else:
            traceback.print_exc()
            desk.write_failure(f"{type(fault).__name__}: {first_line(fault)}", unfit=False)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
