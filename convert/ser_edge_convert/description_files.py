"""Files in which people say what their own network takes and gives."""

from __future__ import annotations

from pathlib import Path

from ser_edge_convert.errors import DescriptionFault
from ser_edge_runtime.errors import SpecError
from ser_edge_runtime.front_end import FrontEndSpec, Normaliser

LARGEST = 1 << 20
FRONT_END_HINT = "write it as FrontEndSpec.to_json() does, or take front_end.json of a run"
LABELS_HINT = "name each class once, a line each, in the order of the network's outputs"
NORMALISER_HINT = "write it as Normaliser.to_json() does, or take normaliser.json of a run"


def read_front_end(path: Path) -> FrontEndSpec:
    """Reads a front end whose features have a fixed shape.

    Raises:
        DescriptionFault: It is none; says why.
    """
    try:
        spec = FrontEndSpec.from_json(_text(path, FRONT_END_HINT))
        _ = spec.output_shape
    except SpecError as fault:
        raise DescriptionFault(path, str(fault), FRONT_END_HINT) from None
    return spec


def read_labels(path: Path) -> tuple[str, ...]:
    """Reads names of classes, a line each; empty lines at the end do not count.

    Raises:
        DescriptionFault: They are not at least two different lines of text.
    """
    lines = [line.strip() for line in _text(path, LABELS_HINT).rstrip().split("\n")]
    for number, line in enumerate(lines, 1):
        if not line or not line.isprintable():
            fault = "is empty" if not line else "holds control characters"
            raise DescriptionFault(path, f"line {number} {fault}", LABELS_HINT)
        if line in lines[: number - 1]:
            raise DescriptionFault(path, f"{line} stands twice", LABELS_HINT)
    if len(lines) < 2:
        raise DescriptionFault(path, "holds one label, at least two are needed", LABELS_HINT)
    return tuple(lines)


def read_normaliser(path: Path | None, front_end: FrontEndSpec) -> Normaliser:
    """Reads a normaliser for the features of ``front_end``; None gives one that changes nothing.

    Raises:
        DescriptionFault: It is none, or one for another number of features.
    """
    columns = front_end.output_shape[-1]
    if path is None:
        return Normaliser.identity(columns)
    try:
        normaliser = Normaliser.from_json(_text(path, NORMALISER_HINT))
    except SpecError as fault:
        raise DescriptionFault(path, str(fault), NORMALISER_HINT) from None
    if len(normaliser.mean) != columns:
        fault_line = f"is for {len(normaliser.mean)} features, the front end gives {columns}"
        raise DescriptionFault(path, fault_line, "fit it on features of this front end")
    return normaliser


def _text(path: Path, hint: str) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise DescriptionFault(path, "is over 1 MiB", hint)
        return data.decode("utf-8-sig")
    except OSError as fault:
        raise DescriptionFault(path, (fault.strerror or "cannot be read").lower(), hint) from None
    except UnicodeDecodeError:
        raise DescriptionFault(path, "is not text in UTF-8", hint) from None
