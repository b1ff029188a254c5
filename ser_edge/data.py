"""What ``--data`` means, for every command that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ser_edge.output import Progress

if TYPE_CHECKING:
    from ser_edge_train.manifest import Manifest


def open_manifest(data: Sequence[str], progress: Progress) -> Manifest:
    """Reads the one manifest that ``data`` names, or scans the folders.

    Raises:
        ManifestError: The manifest cannot be read.
        ScanError: A folder is missing, or holds nothing that is recognised.
    """
    from ser_edge_train.scan import open_data

    return open_data(data, progress=lambda done, total: progress.stage("scanning", done, total))
