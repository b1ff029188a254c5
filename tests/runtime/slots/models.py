"""Models and keys that the tests of slots and of devices share."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from ser_edge_runtime.model_file import build_model_file, read_model_file

MODEL = Path(__file__).resolve().parents[2] / "data" / "format_v1.tflite"


def model(release: int = 0, **changes) -> bytes:
    """The small model with a release, and other metadata if asked; golden vectors as they are."""
    found = read_model_file(MODEL)
    provenance = {"release": release} if release else {}
    metadata = replace(found.metadata, **{"provenance": provenance, **changes})
    return build_model_file(found.flatbuffer, metadata, found.golden)


def broken_model(release: int = 0) -> bytes:
    """A model that is whole, but whose golden vectors no interpreter gives."""
    found = read_model_file(MODEL)
    golden = replace(found.golden, probabilities=found.golden.probabilities[::-1].copy())
    metadata = replace(found.metadata, provenance={"release": release} if release else {})
    return build_model_file(found.flatbuffer, metadata, golden)


def make_key(folder: Path, name: str) -> Path:
    """An Ed25519 key without passphrase."""
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True
    )
    return path


def signers(*keys: Path) -> bytes:
    """An allowed-signers file."""
    return b"".join(
        f"{key.name}@example.org {key.with_name(f'{key.name}.pub').read_text()}".encode()
        for key in keys
    )
