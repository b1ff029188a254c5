"""Writes a Debian package: an ``ar`` of two compressed ``tar``.

Of our own, as dpkg-deb is on Debian's systems alone and stamps files with their owners here;
deb(5) is the format. The same content gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ser_edge.devices.wheels import BundleFault

_TIME = 1580601600
"""2020-02-02, as wheels are stamped: no file was made when it was packed."""


@dataclass(frozen=True)
class Entry:
    """A file of a package.

    Attributes:
        data: Its content.
        executable: Whether it is a program.
    """

    data: bytes
    executable: bool = False


def write_package(control: Mapping[str, str], files: Mapping[str, Entry]) -> bytes:
    """The bytes of a ``.deb``; everything in it belongs to root.

    Args:
        control: The control files: ``control`` and the maintainer's scripts.
        files: What it installs, by absolute name without the leading slash. Folders are made
            as they are needed.

    Raises:
        BundleFault: A script or a file has a name that a package cannot have.
    """
    for name in files:
        if name.startswith("/") or ".." in PurePosixPath(name).parts or not name.isprintable():
            raise BundleFault(name, "is no name in a package", "rename it")
    sums = "".join(
        f"{hashlib.md5(files[name].data, usedforsecurity=False).hexdigest()}  {name}\n"
        for name in sorted(files)
    )
    entries = {
        name: Entry(text.encode(), executable=name != "control") for name, text in control.items()
    }
    entries["md5sums"] = Entry(sums.encode())
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar(entries),
        "data.tar.gz": _tar(files),
    }
    return b"!<arch>\n" + b"".join(_member(name, data) for name, data in parts.items())


def _member(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{_TIME:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)


def _tar(files: Mapping[str, Entry]) -> bytes:
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    packed = io.BytesIO()
    # No file name and no time in the header of gzip, or the bytes would tell when they were made.
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name in sorted({*files, *folders}):
            entry = files.get(name)
            header = tarfile.TarInfo("." if name == "." else f"./{name}")
            header.mtime = _TIME
            header.uname = header.gname = "root"
            if entry is None:
                header.type, header.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(header)
            else:
                header.size = len(entry.data)
                header.mode = 0o755 if entry.executable else 0o644
                archive.addfile(header, io.BytesIO(entry.data))
    return packed.getvalue()
