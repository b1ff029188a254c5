"""The kinds of machines that a bundle or a package is made for, and what each needs."""

from __future__ import annotations

from dataclasses import dataclass

PYTHONS = ("3.11", "3.12", "3.13")
INTERPRETERS = ("ai-edge-litert", "tflite-runtime")

_GLIBCS = (5, 12, 17, 24, 26, 27, 28, 31, 34)


@dataclass(frozen=True)
class Platform:
    """A kind of machine with glibc.

    Attributes:
        name: What people call it.
        architecture: Debian's name for it.
        machine: The end of its wheels' tags.
        bits: Of its programs, whatever its kernel has.
        interpreter: The package that runs models there unless another is asked for.
        system_numpy: Whether numpy must be the distribution's, because PyPI has none.
    """

    name: str
    architecture: str
    machine: str
    bits: int
    interpreter: str
    system_numpy: bool = False

    def tags(self) -> list[str]:
        """The platform tags of wheels that run there, given a recent enough glibc."""
        return [f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBCS] + [
            f"manylinux2014_{self.machine}"
        ]

    def requirements(self, interpreter: str) -> list[str]:
        """What pip is asked for beside ser-edge itself.

        Dependencies of these are left out on purpose: ai-edge-litert names five that its
        interpreter never imports, some of them larger than ser-edge.
        """
        wanted = ["click>=8.1", "soundfile>=0.13", "typing-extensions"]
        if not self.system_numpy:
            wanted += ["cffi", "pycparser"]
            # tflite-runtime was compiled against numpy 1 and dies of numpy 2.
            wanted.append("numpy<2" if interpreter == "tflite-runtime" else "numpy>=1.24")
        pinned = interpreter == "tflite-runtime"
        wanted.append("tflite-runtime==2.14.0" if pinned else "ai-edge-litert>=2.0")
        return wanted

    def depends(self, python: str, glibc: tuple[int, int]) -> list[str]:
        """Debian packages that a package of ser-edge for it depends on."""
        major, minor = python.split(".")
        found = [
            f"python3 (>= {python}~)",
            f"python3 (<< {major}.{int(minor) + 1}~)",
            f"libc6 (>= {glibc[0]}.{glibc[1]})",
            "libstdc++6",
            "libgcc-s1",
        ]
        return [*found, "python3-numpy"] if self.system_numpy else [*found, "zlib1g"]

    def recommends(self) -> list[str]:
        """Debian packages without which PCM WAV alone can be read."""
        return ["libsndfile1", "python3-cffi-backend"] if self.system_numpy else []


PLATFORMS = {
    platform.name: platform
    for platform in (
        Platform("aarch64", "arm64", "aarch64", 64, "ai-edge-litert"),
        Platform("armhf", "armhf", "armv7l", 32, "tflite-runtime", system_numpy=True),
        Platform("x86_64", "amd64", "x86_64", 64, "ai-edge-litert"),
    )
}
