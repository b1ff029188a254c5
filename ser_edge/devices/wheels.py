"""Wheels for another machine: found by pip, read, unpacked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import ser_edge
from ser_edge.devices.platforms import Platform
from ser_edge_runtime.errors import FileError

_NO_NETWORK = re.compile(
    "Retrying|NewConnectionError|ConnectTimeout|NameResolutionError|Max retries|ProxyError"
    "|[Nn]ame resolution|Connection (refused|reset|aborted)|Network is unreachable"
)
_OLD_TAGS = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


class BundleFault(FileError):
    """What a device needs cannot be had, or cannot be put together."""


@dataclass(frozen=True)
class Wheel:
    """A wheel by its file.

    Attributes:
        path: The file.
        name: The package, in lower case and with hyphens.
        version: Its version.
        platforms: Its platform tags.
    """

    path: Path
    name: str
    version: str
    platforms: tuple[str, ...]

    @classmethod
    def at(cls, path: Path) -> Wheel:
        """Reads a wheel's name.

        Raises:
            BundleFault: It is none, or not named as one.
        """
        parts = path.name.removesuffix(".whl").split("-")
        if path.suffix != ".whl" or len(parts) not in (5, 6) or not zipfile.is_zipfile(path):
            raise BundleFault(path, "is no wheel", "make one with: pip wheel --no-deps SOURCE")
        name = re.sub(r"[-_.]+", "-", parts[0]).lower()
        return cls(path, name, parts[1], tuple(parts[-1].split(".")))

    @property
    def glibc(self) -> tuple[int, int]:
        """The earliest glibc that it runs with; (0, 0) for one without compiled code."""
        found = []
        for tag in self.platforms:
            numbers = re.match(r"manylinux_(\d+)_(\d+)_", tag)
            if numbers:
                found.append((int(numbers[1]), int(numbers[2])))
            else:
                found.append(_OLD_TAGS.get(tag.partition("_")[0], (0, 0)))
        return min(found)


def fetch(
    requirements: Sequence[str],
    platform: Platform,
    python: str,
    folder: Path,
    *,
    wheels: Path | None = None,
    constraint: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Wheel]:
    """Has pip find the wheels of packages for a machine, and nothing but wheels.

    Args:
        requirements: What is needed, as pip takes it; no dependencies of them are followed.
        platform: The machine.
        python: Its Python, as "3.11".
        folder: Where to put them.
        wheels: Look in this folder alone, and at no index.
        constraint: A file of versions, as pip takes it.
        progress: Told how many were looked for, of how many, and the next.

    Returns:
        The wheels, by name.

    Raises:
        BundleFault: One has no wheel for that machine, or the index is not reached.
    """
    words = ["download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    words += ["--implementation", "cp", "--python-version", python]
    for tag in platform.tags():
        words += ["--platform", tag]
    if constraint is not None:
        words += ["--constraint", str(constraint)]
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if line.startswith("Collecting ") and progress is not None:
            done = sum(line.startswith("Collecting ") for line in lines) - 1
            progress(done, len(requirements), line.split()[1])

    code = _run(_pip([*words, *_index(wheels), *requirements]), hear)
    if code != 0:
        raise _fault(lines, platform, python, wheels)
    return sorted(map(Wheel.at, folder.glob("*.whl")), key=lambda wheel: wheel.name)


def own_wheel(given: Path | None, folder: Path, *, wheels: Path | None = None) -> Wheel:
    """ser-edge's own wheel: the one given, or one built of the source that runs here.

    Args:
        given: A wheel of ser-edge; None builds one.
        folder: Where to put it.
        wheels: A folder that holds what the build needs; None takes it from the index.

    Raises:
        BundleFault: It is not ser-edge's, there is no source here, or it does not build.
    """
    if given is not None:
        wheel = Wheel.at(given)
        if wheel.name != "ser-edge":
            raise BundleFault(given, f"is a wheel of {wheel.name}", "name one of ser-edge")
        return Wheel.at(Path(shutil.copyfile(given, folder / given.name)))
    source = Path(ser_edge.__file__).parents[1]
    if not (source / "pyproject.toml").is_file():
        raise BundleFault(
            source, "ser-edge is installed there without its source, of which its wheel is built",
            "make one in its source by `pip wheel --no-deps .`, and name it: --wheel FILE",
        )  # fmt: skip
    lines: list[str] = []
    words = ["wheel", "--no-deps", "--wheel-dir", str(folder), *_index(wheels), str(source)]
    code = _run(_pip(words), lines.append)
    built = sorted(folder.glob("ser_edge-*.whl"))
    if code != 0 or not built:
        fault = _common_fault(lines, wheels)
        raise fault or BundleFault(source, _last(lines), "name its wheel: --wheel FILE")
    return Wheel.at(built[0])


def unpacked(wheel: Wheel) -> dict[str, bytes]:
    """The files of a wheel by the names that they have once installed, scripts left out.

    Raises:
        BundleFault: It is damaged, or has names that lead elsewhere.
    """
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename)
                if entry.is_dir():
                    continue
                if name.is_absolute() or ".." in name.parts or not name.parts:
                    raise zipfile.BadZipFile(f"names {entry.filename}")
                if name.parts[0].endswith(".data") and len(name.parts) < 3:
                    raise zipfile.BadZipFile(f"names {entry.filename}")
                if name.parts[0].endswith(".data"):
                    if name.parts[1] not in ("purelib", "platlib"):
                        continue
                    name = PurePosixPath(*name.parts[2:])
                found[str(name)] = archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as fault:
        # RuntimeError: encrypted, or compressed in a way that Python lacks.
        raise BundleFault(wheel.path, f"is damaged ({fault})", "fetch it again") from None
    return found


def _pip(words: Sequence[str]) -> list[str]:
    quiet = ["--disable-pip-version-check", "--no-input", "--no-color"]
    return [sys.executable, "-m", "pip", words[0], *quiet, "--progress-bar=off", *words[1:]]


def _index(wheels: Path | None) -> list[str]:
    # Isolated, as people's own settings may name further folders.
    return [] if wheels is None else ["--isolated", "--no-index", "--find-links", str(wheels)]


def _run(words: Sequence[str], hear: Callable[[str], None]) -> int:
    """Runs pip, gives each line that it prints to a function, and returns its exit code."""
    # By the environment, so that the pip which a build starts for itself gives up as soon.
    environment = {"PIP_RETRIES": "2", **os.environ}
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            hear(line.rstrip())
    return process.returncode


def _fault(
    lines: Sequence[str], platform: Platform, python: str, wheels: Path | None
) -> BundleFault:
    common = _common_fault(lines, wheels)
    if common is not None:
        return common
    for line in lines:
        lacking = re.search(r"No matching distribution found for ([\w.-]+)", line)
        if lacking:
            name = lacking[1].lower().replace("_", "-")
            where = "" if wheels is None else f" in {wheels}"
            return BundleFault(
                name, f"has no wheel{where} for {platform.name} and Python {python}",
                _way_out(name, platform, python, wheels),
            )  # fmt: skip
    return BundleFault("pip", _last(lines), "try again, or name a folder of wheels: --wheels")


def _way_out(name: str, platform: Platform, python: str, wheels: Path | None) -> str:
    if name == "ai-edge-litert" and platform.system_numpy:
        return "take the other interpreter: --interpreter tflite-runtime"
    if name == "tflite-runtime" and python != "3.11":
        other = "" if platform.system_numpy else ", or --interpreter ai-edge-litert"
        return f"it was made for Python 3.11 and earlier: --python 3.11{other}"
    if wheels is not None:
        return "put one there, or leave --wheels out"
    return "name a version that has one in a file: --constraint FILE"


def _common_fault(lines: Sequence[str], wheels: Path | None) -> BundleFault | None:
    if any("No module named pip" in line for line in lines):
        return BundleFault(
            "pip", "is not installed beside this Python", "install it: python -m ensurepip"
        )
    if wheels is None and any(_NO_NETWORK.search(line) for line in lines):
        return BundleFault(
            "pip", "the package index cannot be reached",
            "connect this machine, or name a folder of wheels: --wheels FOLDER",
        )  # fmt: skip
    return None


def _last(lines: Sequence[str]) -> str:
    errors = [line for line in lines if line.startswith("ERROR: ")] or [
        line for line in lines if line
    ]
    return errors[-1].removeprefix("ERROR: ") if errors else "pip failed and said nothing"
