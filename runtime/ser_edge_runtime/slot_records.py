"""What is written down of slots: which models are in them, and what the device is."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.records import record

_FORMAT = 1


@record()
class Slot:
    """A model in a slot.

    Attributes:
        sha256: Digest of its file.
        name: The model's name.
        release: Its release; 0 for one without.
        signer: Who signed it; empty where nobody did or had to.
        tested: With what its golden vectors held on the device; empty before the first load.
    """

    sha256: str
    name: str
    release: int
    signer: str
    tested: str


@record()
class State:
    """What a record says.

    Attributes:
        number: Of the record; 0 where there is none yet.
        current: The model in use.
        previous: The one before, to which a rollback goes.
        failed: Digest of a model that failed its self-test at first load; empty if none did.
    """

    number: int = 0
    current: Slot | None = None
    previous: Slot | None = None
    failed: str = ""


@record()
class Settings:
    """What a device is.

    Attributes:
        targets: Targets whose models it runs.
        signers: The keys whose models it takes, an allowed-signers file; None for any model.
    """

    targets: tuple[str, ...] = ("cpu",)
    signers: bytes | None = None


def number_of(name: str) -> int:
    """The number of a record by its file's name; 0 if it is none."""
    digits = name.removeprefix("slots-").removesuffix(".json")
    own = name == f"slots-{digits}.json" and digits.isascii() and digits.isdecimal()
    return int(digits) if own and len(digits) == 8 else 0


def write_record(state: State) -> bytes:
    """A record, with its checksum."""
    values: dict[str, Any] = {"format": _FORMAT, **asdict(state)}
    values["checksum"] = sha256_hex(_canonical(values))
    return _canonical(values) + b"\n"


def read_record(data: bytes | None, number: int) -> State | None:
    """What a record says; None if it is not whole."""
    try:
        values = json.loads(data or b"")
        checksum = values.pop("checksum")
        if checksum != sha256_hex(_canonical(values)) or values.pop("format") != _FORMAT:
            return None
        slots = {
            name: None if values[name] is None else Slot(**values[name])
            for name in ("current", "previous")
        }
        found = State(**{**values, **slots})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found if found.number == number and len(values) == len(fields(State)) else None


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
