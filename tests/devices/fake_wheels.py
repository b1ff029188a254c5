"""Small wheels, and a pip that hands them out."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

GLIBC = "manylinux_2_27_{0}.manylinux_2_28_{0}"
NAMES = ("ai_edge_litert", "cffi", "click", "numpy", "pycparser", "soundfile",
         "tflite_runtime", "typing_extensions")  # fmt: skip
COMPILED = {"ai_edge_litert", "cffi", "numpy", "tflite_runtime"}


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    tag: str = "py3-none-any",
    files: dict[str, str] | None = None,
) -> Path:
    """A wheel with one module, or the files given; the same arguments give the same bytes."""
    info = f"{name}-{version}.dist-info"
    members = dict(files or {f"{name}/__init__.py": f"version = {version!r}\n"})
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
    rows = []
    for path, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text.encode())}")
    members[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return path


def shelf(folder: Path, machine: str = "aarch64", python: str = "311") -> Path:
    """A folder with a wheel of each package for a machine."""
    folder.mkdir()
    for name in NAMES:
        tag = f"cp{python}-cp{python}-{GLIBC.format(machine)}" if name in COMPILED else None
        make_wheel(folder, name, "2.14.0" if name == "tflite_runtime" else "2.0",
                   tag or "py3-none-any")  # fmt: skip
    return folder


class FakePip:
    """Stands for running pip: copies wheels from a shelf, or fails as it is told.

    Attributes:
        calls: The words of each call.
        fault: Lines to print before it fails; none to succeed.
    """

    def __init__(self, shelf: Path) -> None:
        self.shelf = shelf
        self.calls: list[list[str]] = []
        self.fault: list[str] = []

    def __call__(self, words, hear):
        self.calls.append(list(words))
        if self.fault:
            for line in self.fault:
                hear(line)
            return 1
        if "wheel" in words:
            make_wheel(Path(words[words.index("--wheel-dir") + 1]), "ser_edge", "0.1.0")
            return 0
        into = Path(words[words.index("--dest") + 1])
        for word in words[words.index(next(w for w in words if w.startswith("click"))) :]:
            name = re.split("[<>=]", word)[0].replace("-", "_")
            hear(f"Collecting {word}")
            (found,) = self.shelf.glob(f"{name}-*.whl")
            (into / found.name).write_bytes(found.read_bytes())
        return 0
