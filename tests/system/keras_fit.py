"""Why fits over workers have a loop of their own: what Keras' own ``fit`` does with them.

    python -m tests.system.keras_fit

Starts two workers on loopback that call ``keras.Model.fit`` under
``tf.distribute.MultiWorkerMirroredStrategy``, and prints how each ends. Should both end well
one day, ``ser_edge_train.replicated_fit`` has one reason less to be there (the other is the
global mean of the loss over shares of unequal length).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

WORKER = """
import keras, numpy as np, tensorflow as tf
print("tensorflow", tf.__version__, "keras", keras.__version__)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.MeanSquaredError())
data = tf.data.Dataset.from_tensor_slices((np.ones((16, 4), "f4"), np.ones((16, 3), "f4")))
model.fit(data.batch(8), verbose=0, shuffle=False)
print("fitted")
"""


def main() -> None:
    """Prints the last line of each worker."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = [f"127.0.0.1:{server.getsockname()[1]}" for server in taken]
    for server in taken:
        server.close()
    started = []
    for index in range(2):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = {"TF_CONFIG": json.dumps(cluster), "TF_CPP_MIN_LOG_LEVEL": "3"}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for index, worker in enumerate(started):
        printed, faults = worker.communicate()
        said = [line for line in faults.splitlines() if line.startswith("ValueError")]
        print(f"worker {index}: exit status {worker.returncode}; {printed.strip()}")
        for line in said:
            print(f"  {line}")
        print(f"  {faults.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
