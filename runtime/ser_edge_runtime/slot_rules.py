"""What a device refuses before it takes a model: its target, its needs, its age."""

from __future__ import annotations

import json
from typing import Any

from ser_edge_runtime import __version__, stored_zip
from ser_edge_runtime.errors import MetadataInvalid, ModelRefused
from ser_edge_runtime.front_end.kinds import FEATURES
from ser_edge_runtime.model_file import LARGEST_FILE, MEMBERS, ModelFile, parse_model_file

RELEASE = "release"
"""Entry of a model's provenance: a whole number from 1 that grows from release to release."""

NEEDS = "needs_runtime"
"""Entry of a model's provenance: the earliest ser-edge that runs it, as "0.2.0"."""


def admit(
    data: bytes,
    name: str,
    targets: tuple[str, ...],
    newest: int = 0,
    *,
    runtime: str = __version__,
) -> ModelFile:
    """Reads a model that shall run on a device, or says why it cannot.

    Args:
        data: The whole file.
        name: Names it in errors.
        targets: What the device is.
        newest: The release that it must not be older than; 0 for any.
        runtime: The version of ser-edge that will run it.

    Raises:
        ModelRefused: It is for another target, needs a newer runtime or another front end,
            or is older than ``newest``.
        ModelFileError: It is no model file, or damaged.
    """
    try:
        model = parse_model_file(data, name)
    except MetadataInvalid:
        # A later version's metadata: the version that it asks for says more than a rule broken.
        values = _peek(data)
        _check_needs(values.get("provenance"), name, runtime)
        _check_features(values.get("front_end"), name)
        raise
    metadata = model.metadata
    _check_needs(metadata.provenance, name, runtime)
    if metadata.target not in targets:
        raise ModelRefused(
            name,
            f"it is made for {metadata.target}, the device is {' and '.join(targets)}",
            f"convert it for the device: ser-edge convert RUN --target {targets[0]}",
        )
    release = release_of(model)
    if release < newest:
        what = f"it is release {release}" if release else "it has no release number"
        raise ModelRefused(
            name,
            f"{what}, the device has release {newest}",
            "to go back all the same: --allow-downgrade",
        )
    return model


def release_of(model: ModelFile) -> int:
    """A model's release; 0 for one that has none, which is older than any that has one."""
    number = model.metadata.provenance.get(RELEASE)
    return number if type(number) is int and number > 0 else 0


def version_of(text: str) -> tuple[int, ...] | None:
    """``"0.2.0"`` as numbers that compare; None if it is no version."""
    parts = text.split(".")
    if len(parts) > 4 or not all(p.isascii() and p.isdecimal() and len(p) < 6 for p in parts):
        return None
    return tuple(map(int, parts))


def _check_needs(provenance: Any, name: str, runtime: str) -> None:
    needed = provenance.get(NEEDS) if hasattr(provenance, "get") else None
    if needed is None:
        return
    least, have = version_of(str(needed)), version_of(runtime)
    if least is None or have is None or have < least:
        raise ModelRefused(
            name,
            f"it needs ser-edge {str(needed)[:20]}, the device has {runtime}",
            "update there with: pip install -U ser-edge",
        )


def _check_features(front_end: Any, name: str) -> None:
    features = front_end.get("features") if isinstance(front_end, dict) else None
    for feature in features if isinstance(features, list) else []:
        kind = feature.get("kind") if isinstance(feature, dict) else None
        if isinstance(kind, str) and kind not in FEATURES:
            raise ModelRefused(
                name,
                f"its front end computes {kind[:40]!r}, which the runtime here cannot",
                "update there with: pip install -U ser-edge",
            )


def _peek(data: bytes) -> dict[str, Any]:
    """The metadata, unchecked but for the form of the file; empty if they are no table."""
    try:
        _, members = stored_zip.parse(
            data, most_members=len(MEMBERS), largest_zip=len(data), largest_member=LARGEST_FILE
        )
        values = json.loads(members[MEMBERS[0]])
    except (stored_zip.BadZip, stored_zip.TooLarge, KeyError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
