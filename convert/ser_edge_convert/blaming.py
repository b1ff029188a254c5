"""Blame of a run, from its recordings to the ranking of its layers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ser_edge_convert.attempt import Bench
from ser_edge_convert.blame import Blame, blame
from ser_edge_convert.calibration import DEFAULT_SIZE
from ser_edge_convert.inputs import Progress, RunInputs
from ser_edge_convert.network_file import is_recurrent
from ser_edge_convert.targets import plan
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory


def blame_run(
    run: RunDirectory,
    *,
    store: Path,
    target: str = "cpu",
    calibration_size: int = DEFAULT_SIZE,
    calibration_seed: int = 0,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
) -> Blame:
    """Measures what each layer of a run's network loses in int8.

    On the run's validation speakers; its test part is not touched. The same run gives
    the same figures. One thread a call.

    Args:
        run: A run whose training has ended.
        store: Folder of the feature store.
        target: Decides the form of LSTM layers.
        calibration_size: Training clips that show the range of every activation.
        calibration_seed: Another seed chooses others.
        manifest: Where the recordings lie now; None takes the run's own.
        progress: Called with (stage, done, total); total 0 where it is not known.

    Raises:
        ConversionRefused: The target has no int8.
        ConversionCrashed: The converter was ended by a signal.
        SerEdgeError: The run, a recording or the network cannot be read; names it.
        OSError: A disk is full.
    """
    inputs = RunInputs.read(run, manifest)
    decided = plan(is_recurrent(inputs.model), target=target, variant="int8")
    with tempfile.TemporaryDirectory(prefix="ser-edge-blame-") as folder:
        tell: Progress = progress or (lambda stage, done, total: None)
        bench = Bench(inputs, store, Path(folder), tell)
        calibration = bench.calibrate(calibration_size, calibration_seed)
        log = Path(tempfile.gettempdir()) / "ser-edge-blame.log"
        with bench.trials(decided, calibration, log) as trials:
            return blame(trials)
