"""One thread for the linear algebra behind numpy, in processes that have not loaded it yet.

A BLAS starts a thread a core when it is loaded, which costs a one-shot command more time than
all else together, and several processes more than they gain; and another number of threads
rounds a product of matrices in another way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What OpenBLAS, OpenMP, MKL, BLIS and Apple's Accelerate read when they are loaded."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Sets the environment that processes started meanwhile inherit before they import numpy.

    Not for two threads at once: the environment is the process's.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
