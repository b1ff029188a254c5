"""A network that is quantised again and again, each time with other layers left in floats.

Ranges are measured once; what follows takes a fraction of a second each. The
work is done by a child (:mod:`ser_edge_convert.quantiser_child`), as that of a
conversion is; this process loads no TensorFlow.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from ser_edge_convert.child import Desk, Job, child_environment, explain
from ser_edge_convert.graph import read_graph
from ser_edge_convert.layers import Layer, layers_of
from ser_edge_convert.operator_order import with_safe_order

COMMAND = (sys.executable, "-P", "-m", "ser_edge_convert.quantiser_child")
# Every answer of the child begins with it: libraries may print into the same pipe.
MARK = "ser-edge:"


class Quantiser:
    """Quantises one network in a child process. Use ``with``; one thread at a time.

    Args:
        desk: Features to calibrate on and to compare on lie there.
        job: What the network is; its ``float_layers`` do not matter.
        keep_log: Where the child's log goes if anything fails.
        command: What to start; the desk's folder becomes its last argument.

    Attributes:
        calibrated: The network in floating point, with the ranges of its tensors.
        graph: Its graph.
        layers: Those that compute something, in order.
        logits: What the network says of the clips to compare on, float32 (clips, classes).
        facts: Forms of its recurrent layers, classes of all layers.

    Raises:
        ConversionCrashed: The child was ended by a signal.
        ConversionFailed: The converter gave up.
        BadNetwork: The network is not of a kind that is converted.
        MissingExtra: TensorFlow is not installed.
    """

    def __init__(
        self, desk: Desk, job: Job, keep_log: Path, *, command: Sequence[str] = COMMAND
    ) -> None:
        self._desk, self._job, self._keep_log = desk, job, keep_log
        self._files = 0
        desk.write_job(job)
        with desk.log.open("wb") as log:
            self._child = subprocess.Popen(
                [*command, str(desk.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child_environment(),
                text=True,
            )
        try:
            self._answer()
            self.calibrated = with_safe_order(desk.flatbuffer.read_bytes())
            self.logits = np.load(desk.logits)
            self.facts: dict[str, Any] = json.loads(desk.facts.read_text(encoding="utf-8"))
            self.graph = read_graph(self.calibrated)
            self.layers: tuple[Layer, ...] = layers_of(self.graph, self.facts["layers"])
        except BaseException:
            self.close()
            raise

    def quantise(self, float_layers: Collection[str] = ()) -> bytes:
        """The network in int8, float32 at both ends.

        Args:
            float_layers: Names of layers that stay in floating point.

        Raises:
            ConversionCrashed: The child was ended by a signal.
            ConversionFailed: The converter gave up.
        """
        self._files += 1
        path = self._desk.folder / f"mixed-{self._files}.tflite"
        request = {"float_layers": sorted(float_layers), "out": path.name}
        with suppress(BrokenPipeError):  # it has ended; the missing answer says so
            print(json.dumps(request), file=self._pipe(self._child.stdin), flush=True)
        self._answer()
        data = with_safe_order(path.read_bytes())
        path.unlink()
        return data

    def close(self) -> None:
        """Ends the child."""
        if self._child.returncode is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Quantiser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(self) -> None:
        for line in self._pipe(self._child.stdout):
            if line.startswith(MARK):
                return
        raise explain(self._desk, self._job, self._child.wait(), self._keep_log)

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream
