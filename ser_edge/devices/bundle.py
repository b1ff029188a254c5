"""What a device without network needs, in one folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ser_edge.devices.platforms import Platform
from ser_edge.devices.wheels import BundleFault, Wheel, fetch, own_wheel
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.model_file import ModelFile
from ser_edge_runtime.slot_rules import admit, release_of, version_of

MODEL, SIGNATURE, SUMS, SCRIPT = "model.tflite", "model.tflite.sig", "SHA256SUMS", "install.sh"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Order:
    """What shall be bundled, for what.

    Attributes:
        name: The model's file; errors name it.
        data: Its bytes.
        signature: Its detached signature, if it has one.
        platform: The machine that it is for.
        python: The machine's Python, as "3.11".
        interpreter: The package that runs models there.
        wheel: ser-edge's own wheel; None builds it of the source that runs here.
        wheels: A folder of wheels to take all from; None asks the package index.
        constraint: A file of versions for pip, or None.
        debs: Debian packages of the device's system to go along, for 32-bit ARM's numpy.
    """

    name: str
    data: bytes
    signature: bytes | None
    platform: Platform
    python: str
    interpreter: str
    wheel: Path | None = None
    wheels: Path | None = None
    constraint: Path | None = None
    debs: tuple[Path, ...] = ()

    def model(self, runtime: str) -> ModelFile:
        """The model, if a processor with that version of ser-edge can run it.

        Raises:
            SerEdgeError: What :func:`ser_edge_runtime.slot_rules.admit` refuses.
        """
        return admit(self.data, self.name, ("cpu",), runtime=runtime)


def gather(
    order: Order, folder: Path, progress: Progress | None = None
) -> tuple[ModelFile, list[Wheel]]:
    """Puts all wheels into a folder.

    Args:
        order: What is wanted.
        folder: Where to, empty.
        progress: Told how many were looked for, of how many, and the next.

    Returns:
        The model and the wheels, by name.

    Raises:
        BundleFault: One cannot be had.
        SerEdgeError: The model is not for that machine.
    """
    own = own_wheel(order.wheel, folder, wheels=order.wheels)
    # An unreleased version's suffix says nothing of what it can run.
    runtime = own.version if version_of(own.version) else own.version.partition(".dev")[0]
    model = order.model(runtime)
    wanted = order.platform.requirements(order.interpreter)
    wheels = fetch(
        wanted, order.platform, order.python, folder,
        wheels=order.wheels, constraint=order.constraint, progress=progress,
    )  # fmt: skip
    return model, wheels


def glibc_of(wheels: Sequence[Wheel]) -> tuple[int, int]:
    """The earliest glibc that all wheels run with."""
    return max(wheel.glibc for wheel in wheels)


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to build in; gone afterwards if it was not renamed."""
    place = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_bundle(order: Order, out: Path, progress: Progress | None = None) -> list[Wheel]:
    """Builds a bundle beside ``out`` and renames it.

    Args:
        order: What is wanted.
        out: The folder; it must be missing or empty.
        progress: As :func:`gather`.

    Returns:
        Its wheels, by name.

    Raises:
        BundleFault: ``out`` is in the way, or something cannot be had.
        SerEdgeError: The model is not for that machine.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleFault(out, "is there already, and not empty", "name another, or remove it")
    with beside(out) as place:
        (place / "wheels").mkdir()
        model, wheels = gather(order, place / "wheels", progress)
        (place / MODEL).write_bytes(order.data)
        if order.signature is not None:
            (place / SIGNATURE).write_bytes(order.signature)
        if order.debs:
            (place / "debs").mkdir()
            for deb in order.debs:
                shutil.copyfile(deb, place / "debs" / deb.name)
        (place / SCRIPT).write_text(script(order, wheels), "utf-8", newline="\n")
        (place / SCRIPT).chmod(0o755)
        (place / "README.txt").write_text(readme(order, model, wheels), "utf-8", newline="\n")
        (place / SUMS).write_text(sums(place), "utf-8", newline="\n")
        place.chmod(0o755)
        if out.exists():
            out.rmdir()
        place.rename(out)
    return wheels


def sums(folder: Path) -> str:
    """Digests of all files in a folder, as ``sha256sum -c`` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = [(path.relative_to(folder).as_posix(), path) for path in files]
    return "".join(f"{sha256_hex(path.read_bytes())}  {name}\n" for name, path in named)


def script(order: Order, wheels: Sequence[Wheel]) -> str:
    """The install script of a bundle."""
    platform = order.platform
    values = {
        "PLATFORM": platform.name,
        "ARCHITECTURE": platform.architecture,
        "BITS": str(platform.bits),
        "PYTHON": order.python,
        "GLIBC": "{}.{}".format(*glibc_of(wheels)),
        "SYSTEM_NUMPY": "yes" if platform.system_numpy else "no",
        "WHEELS": " ".join(f"wheels/{wheel.path.name}" for wheel in wheels),
    }
    text = Path(__file__).with_name("install.sh").read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


_README = """\
ser-edge and a model for devices without network
================================================

For:         {platform} ({architecture}, {bits} bits) with Python {python} and glibc {glibc}
Model:       {model}, release {release}
             sha256 {sha256}
             {signed}
Interpreter: {interpreter}

On the device, in this folder:

    sh install.sh

as root installs ser-edge into /opt/ser-edge and the model into the slots /var/lib/ser-edge; as
anybody else, into ~/.local/share/ser-edge. --prefix FOLDER and --slots FOLDER name others. All
files are checked against SHA256SUMS first, and the model's golden vectors are run before anything
of what is in use changes. The same command with a newer bundle is an upgrade; a model that is
older than the one in use is refused but for --allow-downgrade, and --keep-model leaves the slots
alone. To remove it all: rm -r the two folders.
{system}
The model's licence: {licence}
It is meant for: {use}
The wheels carry their own licences.

Wheels:
{wheels}
"""

_SYSTEM_NUMPY = """
PyPI has no numpy for 32-bit ARM, so the system's is used: install.sh takes python3-numpy as it is
installed, or installs the packages in debs/ if there are any. FLAC, Ogg, Opus and MP3 need
libsndfile1 and python3-cffi-backend of the system too; PCM WAV needs neither.
"""


def readme(order: Order, model: ModelFile, wheels: Sequence[Wheel]) -> str:
    """The text that tells what a bundle is."""
    metadata = model.metadata
    return _README.format(
        platform=order.platform.name,
        architecture=order.platform.architecture,
        bits=order.platform.bits,
        python=order.python,
        glibc="{}.{}".format(*glibc_of(wheels)),
        model=metadata.name,
        release=release_of(model) or "none",
        sha256=sha256_hex(order.data),
        signed=f"signed: {SIGNATURE}" if order.signature else "not signed",
        interpreter=order.interpreter,
        system=_SYSTEM_NUMPY if order.platform.system_numpy else "",
        licence=metadata.licence.strip() or "not stated",
        use=metadata.intended_use.strip() or "not stated",
        wheels="\n".join(f"  {wheel.name} {wheel.version}" for wheel in wheels),
    )
