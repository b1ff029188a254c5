"""Does the study of two variants in a process of its own, which is killed in the given run.

``python -m tests.train.killed_study RECORDINGS STORE OUT RUN STAGE`` dies at the first step of
STAGE, as "epoch 2/3" or "scoring", in the RUN-th run.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ser_edge_train.manifest import Manifest
from ser_edge_train.studies.planning import plan_of_recipe, recipe_subject
from ser_edge_train.studies.running import run_study
from tests.train.studied import PAIR, Heard, study_recipe


class Killer(Heard):
    """Dies instead of stopping."""

    def step(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        if len(self.begun) == self.at_run and str(self.at_stage) in stage:
            os.kill(os.getpid(), signal.SIGKILL)


def main(recordings: str, store: str, out: str, run: str, stage: str) -> None:
    manifest = Manifest.read(Path(recordings) / "manifest.csv")
    plan = plan_of_recipe(PAIR, recipe_subject(study_recipe(), manifest), Path(out), seeds=1)
    listener = Killer(at_run=int(run), at_stage=stage)
    run_study(plan, listener, store_root=Path(store), processes=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
