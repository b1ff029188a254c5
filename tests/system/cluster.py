"""A Dask cluster in this one process, and an archive classified on it; prints what came out.

``python cluster.py MODEL PATHS...``. A process of its own, since Dask leaves threads, loops
and logging behind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from distributed import LocalCluster

from ser_edge_runtime.archive.answers import Settings
from ser_edge_runtime.archive.cluster import ClusterError, on_cluster
from ser_edge_runtime.archive.order import AsTheyCome, InOrder


def main(model: str, paths: list[str]) -> None:
    out = {}
    settings = Settings(model, Path(model).read_bytes())
    try:
        list(on_cluster(paths, settings, "tcp://127.0.0.1:9", InOrder(), patience=1))
    except ClusterError as fault:
        out["nobody"] = str(fault)
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
                      protocol="tcp", host="127.0.0.1") as cluster:  # fmt: skip
        address = cluster.scheduler_address
        answers = list(on_cluster(paths, settings, address, InOrder()))
        out["answers"] = [
            [answer.path, answer.fault] + [result.scores for result in answer.results]
            for answer in answers
        ]
        cluster.sync(cluster.scheduler.retire_workers, close_workers=True)
        try:
            list(on_cluster(paths, settings, address, AsTheyCome(), patience=1))
        except ClusterError as fault:
            out["no worker"] = str(fault)
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
