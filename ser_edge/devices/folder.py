"""Slots in a folder that this machine sees: a mounted card, or the device is this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ser_edge.devices.device import DeviceFault, Upload
from ser_edge.devices.reports import report
from ser_edge_runtime.slot_files import Files, LocalFiles
from ser_edge_runtime.slots import SelfTest, Slots, self_test_with


class SlotsDevice:
    """Slots whose files can be written, on a device that may not be asked to run anything.

    Args:
        files: The folder.
        name: Names it in errors.
        here: Whether this machine is the device, so that it tests the model at once.
    """

    def __init__(self, files: Files, name: str, *, here: bool = False) -> None:
        self._slots = Slots(files, name)
        self._here = here
        self._self_test: SelfTest | None = self_test_with() if here else None

    def status(self) -> dict[str, Any]:
        """As :meth:`Device.status`."""
        return report(self._slots, here=self._here)

    def install(self, upload: Upload) -> dict[str, Any]:
        """As :meth:`Device.install`."""
        state = self._slots.install(
            upload.data,
            upload.signature,
            self._self_test,
            name=upload.name,
            allow_downgrade=upload.allow_downgrade,
            dry_run=upload.dry_run,
        )
        return asdict(state)

    def rollback(self, *, dry_run: bool = False) -> dict[str, Any]:
        """As :meth:`Device.rollback`."""
        return asdict(self._slots.rollback(self._self_test, dry_run=dry_run))


def folder_device(folder: str, *, here: bool) -> SlotsDevice:
    """The slots in a folder.

    Raises:
        DeviceFault: The folder that it shall lie in is not there: a card that is not mounted.
    """
    path = Path(folder)
    if not path.is_dir() and (path.exists() or not path.resolve().parent.is_dir()):
        fault = "is a file" if path.exists() else "neither it nor the folder around it is there"
        raise DeviceFault(folder, fault, "mount the card, or create the folder")
    return SlotsDevice(LocalFiles(path), folder, here=here)
