"""A set of names in 16 bytes each: which of a million recordings are done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

_BYTES = 16


class Names:
    """Names that can be asked for. Immutable; threads may share it.

    Kept are digests of 128 bits: of a billion names, the chance that any two are taken
    for one is one in 10^21.

    Args:
        names: Any number, any order, some perhaps several times.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        digests = b"".join(map(_digest, names))
        self._sorted = np.sort(np.frombuffer(digests, dtype=f"S{_BYTES}"))

    def __contains__(self, name: str) -> bool:
        digest = np.frombuffer(_digest(name), dtype=self._sorted.dtype)[0]
        place = int(np.searchsorted(self._sorted, digest))
        return place < len(self._sorted) and bool(self._sorted[place] == digest)

    def __len__(self) -> int:
        """How many different names."""
        return len(self._sorted) - int(self._same.sum())

    @property
    def repeated(self) -> Names:
        """Those that were given more than once."""
        made = Names()
        made._sorted = np.unique(self._sorted[1:][self._same])
        return made

    @property
    def _same(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.asarray(self._sorted[1:] == self._sorted[:-1])


def _digest(name: str) -> bytes:
    # File names hold whatever bytes their makers chose.
    return blake2b(os.fsencode(name), digest_size=_BYTES).digest()
