"""What ``--data`` means, for every command that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ser_edge.output import Output, Progress

if TYPE_CHECKING:
    from ser_edge_train.manifest import Manifest


def open_manifest(data: Sequence[str], progress: Progress, output: Output) -> Manifest:
    """Reads the one manifest that ``data`` names, or scans the folders.

    What a scan passes over is noted on stderr: it would be missed in silence otherwise.

    Raises:
        ManifestError: The manifest cannot be read.
        ScanError: A folder is missing, or holds nothing that is recognised.
    """
    from ser_edge_train.manifest import Manifest, is_manifest
    from ser_edge_train.scan import survey

    if len(data) == 1 and is_manifest(data[0]):
        return Manifest.read(data[0])
    found = survey(data, progress=lambda done, total: progress.stage("scanning", done, total))
    passed_over = (
        ("of no known layout or label", found.summary.unrecognised),
        ("or folders not readable", found.summary.unreadable),
        ("with a fault", [fault.text for fault in found.summary.faults]),
    )
    for what, names in passed_over:
        if names:
            output.note(
                f"left out: {len(names)} recordings {what} (first: {names[0]}); "
                "see: ser-edge scan FOLDERS"
            )
    return found.manifest
