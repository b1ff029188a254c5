"""A model as C: its bytes as an aligned array, and all that a front end in C needs beside it.

What stands in the file is data, no code: the window, the filter banks and the
cosines as the numpy front end computes them, the normaliser, the labels, how
input and output are quantised. C and C++ compilers both take it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.errors import OutputFailed
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.front_end import spectrum
from ser_edge_runtime.front_end.kinds import (
    Chroma,
    ContrastBands,
    Delta,
    Feature,
    LogMel,
    MelScale,
    Mfcc,
    SpectralContrast,
    raw_group,
)
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_runtime.model_file import ModelFile

SOURCES = (".c", ".cc", ".cpp", ".cxx")
ALIGNMENT = 16
"""TensorFlow Lite's schema asks for buffers at multiples of 16 from the model's beginning."""


def write_c_array(model_file: ModelFile, path: Path) -> None:
    """Writes ``path`` and, beside it, the header of the same name.

    The same model file gives the same bytes. An existing pair is replaced, each file
    atomically, the header first.

    Args:
        model_file: What to write.
        path: The source file: ``.c``, ``.cc``, ``.cpp`` or ``.cxx``. Its stem begins
            every name in it.

    Raises:
        OutputFailed: The name ends otherwise, or cannot stand in an #include.
        OSError: No room, or no permission.
    """
    check_name(path)
    header, source = render(model_file, path.stem)
    write_text_atomically(path.with_suffix(".h"), header)
    write_text_atomically(path, source)


def check_name(path: Path) -> None:
    """Refuses a name that :func:`write_c_array` cannot write.

    Raises:
        OutputFailed: It is no name of a C file, or cannot stand in an #include.
    """
    if path.suffix not in SOURCES:
        raise OutputFailed(path, "no name of a C file", f"end it in {', '.join(SOURCES)}")
    # "??" may begin a trigraph, which C compilers replace in an #include too.
    if not path.stem.isprintable() or set(path.stem) & set('"\\') or "??" in path.stem:
        raise OutputFailed(path, "no name that C can include", "use letters and digits")


def render(model_file: ModelFile, stem: str) -> tuple[str, str]:
    """The header and the source of a model, as :func:`write_c_array` writes them.

    Args:
        model_file: What to write.
        stem: Name of both files, without ending.
    """
    page = _Page(identifier(stem))
    meta = model_file.metadata
    page.text_constant("flatbuffer_sha256", meta.flatbuffer_sha256)
    page.bytes("data", model_file.flatbuffer)
    _write_ends(page, model_file)
    _write_front_end(page, meta.front_end)
    _write_features(page, meta.front_end)
    page.floats("normaliser_mean", meta.normaliser.mean)
    page.floats("normaliser_scale", meta.normaliser.scale)
    about = [
        f"{meta.name}: {meta.variant}, made for {meta.target}. Licence: {meta.licence}",
        f"front end sha256 {meta.front_end.digest}",
    ]
    return page.header(about), page.source(stem, about)


def identifier(stem: str) -> str:
    """A C identifier from a file's stem: other characters become ``_``, a digit is not first."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", stem) or "model"
    return f"m{name}" if name[0].isdigit() or name[0] == "_" else name


def _write_ends(page: _Page, model_file: ModelFile) -> None:
    meta = model_file.metadata
    page.comment(
        "Input and output. Quantised: real = scale * (integer - zero_point); the input is "
        "(feature - mean) / scale of the normaliser. The output holds logits: divide by the "
        "temperature, then softmax."
    )
    for name, tensor in (("input", meta.input), ("output", meta.output)):
        page.text_constant(f"{name}_type", tensor.dtype)
        page.number(f"{name}_size", int(np.prod(tensor.shape)))
        page.number(f"{name}_scale", float(tensor.scale))
        page.number(f"{name}_zero_point", tensor.zero_point)
        page.integers(f"{name}_shape", tensor.shape)
    page.number("temperature", float(meta.temperature))
    page.number("label_count", len(meta.labels))
    page.texts("labels", meta.labels)


def _write_front_end(page: _Page, spec: FrontEndSpec) -> None:
    page.comment(
        "The front end. Frame t begins at sample t * hop_length, less fft_length / 2 zeros at "
        "both ends if centred; a frame times the window, its power spectrum, then the features. "
        "trim_db, level, clip_frames: 0 where the front end has none. cut 0: centre, 1: start. "
        "layout 0: sequence (frames, features), 1: flat, 2: mean over time."
    )
    for name in ("sample_rate", "fft_length", "window_length", "hop_length"):
        page.number(name, getattr(spec, name))
    page.number("centred", int(spec.centred))
    page.number("trim_db", float(spec.trim_db or 0))
    page.number("level", float(spec.level or 0))
    page.number("offset_frames", spec.skipped_frames)
    page.number("clip_frames", spec.clip_frames or 0)
    page.number("cut", ("centre", "start").index(spec.cut))
    page.number("layout", ("sequence", "flat", "mean").index(spec.layout))
    page.number("feature_count", spec.feature_count)
    page.texts("feature_names", spec.names)
    # Zeros on both sides are not stored: the window stands in the middle of the frame.
    start = (spec.fft_length - spec.window_length) // 2
    full = spectrum.window(spec.window, spec.window_length, spec.fft_length)
    page.number("window_start", start)
    page.floats("window", full[start : start + spec.window_length])


def _write_features(page: _Page, spec: FrontEndSpec) -> None:
    page.comment(
        "The features, in the order of their columns. Decibels: 10 log10(max(power, 1e-10)), and "
        "at most top_db below the clip's largest (0: no such floor). A triangular filter of band "
        "b weighs the power of mel_counts[b] bins from mel_starts[b] on with the next "
        "mel_counts[b] of mel_weights."
    )
    page.number("feature_kinds", len(spec.features))
    for position, feature in enumerate(spec.features):
        prefix = f"f{position}"
        page.text_constant(f"{prefix}_kind", feature.kind)
        _write_feature(page, prefix, feature, spec)


def _write_feature(page: _Page, prefix: str, feature: Feature, spec: FrontEndSpec) -> None:
    rate, length = spec.sample_rate, spec.fft_length
    if isinstance(feature, LogMel | Mfcc | SpectralContrast):
        page.number(f"{prefix}_top_db", float(feature.top_db or 0))
    if isinstance(feature, LogMel | Mfcc):
        scale = raw_group(feature)
        assert isinstance(scale, MelScale)
        page.number(f"{prefix}_bands", feature.bands)
        _write_filters(page, prefix, spectrum.mel_filters(scale, rate, length))
    if isinstance(feature, Mfcc):
        page.number(f"{prefix}_count", feature.count)
        page.comment("Cepstrum c is the sum over bands b of dct[b * count + c] times decibel b.")
        page.floats(f"{prefix}_dct", spectrum.cosines(feature.bands, feature.count))
    elif isinstance(feature, Delta):
        sources = [f.kind for f in spec.features]
        page.comment(
            "Of which feature, by its number; order 1: slope of a least-squares line over width "
            "frames, 2: twice the square term of a parabola. The outermost frames take the value "
            "of the nearest whole window."
        )
        page.number(f"{prefix}_of", sources.index(feature.of))
        page.number(f"{prefix}_order", feature.order)
        page.number(f"{prefix}_width", feature.width)
    elif isinstance(feature, Chroma):
        page.number(f"{prefix}_bins", feature.bins)
        page.comment(
            "Weights of the power of bin k for class c: chroma[k * bins + c]; each frame is then "
            "divided by its largest class."
        )
        page.floats(f"{prefix}_chroma", spectrum.chroma_filters(feature, rate, length))
    elif isinstance(feature, SpectralContrast):
        group = raw_group(feature)
        assert isinstance(group, ContrastBands)
        bins = spectrum.contrast_bins(group, rate, length)
        page.number(f"{prefix}_bands", len(bins))
        page.comment(
            "For each band: first bin, the bin behind its last, how many magnitudes are averaged. "
            "The feature: decibels of the largest's mean less decibels of the smallest's."
        )
        page.integers(f"{prefix}_ranges", [value for band in bins for value in band])


def _write_filters(page: _Page, prefix: str, filters: npt.NDArray[np.float32]) -> None:
    starts, counts, weights = [], [], []
    for column in filters.T:
        used = np.flatnonzero(column)
        first, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        starts.append(first)
        counts.append(end - first)
        weights.extend(column[first:end])
    page.integers(f"{prefix}_mel_starts", starts)
    page.integers(f"{prefix}_mel_counts", counts)
    # An array of nothing is no C.
    page.floats(f"{prefix}_mel_weights", weights or [0.0])


class _Page:
    """Declarations for the header and definitions for the source, side by side."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._guard = f"{prefix.upper()}_H_"
        self._declared: list[str] = []
        self._defined: list[str] = []

    def comment(self, text: str) -> None:
        self._declared.append(f"\n/* {_plain(text)} */")

    def number(self, name: str, value: float) -> None:
        self._declared.append(f"#define {self._macro(name)} {_literal(value)}")

    def text_constant(self, name: str, value: str) -> None:
        self._declared.append(f"#define {self._macro(name)} {_quoted(value)}")

    def bytes(self, name: str, data: bytes) -> None:
        self.number(f"{name}_size", len(data))
        symbol = f"{self._prefix}_{name}"
        self._declared.append(f"extern const unsigned char {symbol}[{len(data)}];")
        rows = _rows([str(value) for value in data])
        self._define(f"SER_EDGE_ALIGNED const unsigned char {symbol}[{len(data)}]", rows)

    def floats(self, name: str, values: Any) -> None:
        flat = np.asarray(values, np.float32).reshape(-1)
        self._array(name, "float", [_literal(float(value)) for value in flat])

    def integers(self, name: str, values: Sequence[int]) -> None:
        self._array(name, "int", [str(int(value)) for value in values])

    def texts(self, name: str, values: Sequence[str]) -> None:
        self._array(name, "char *const", [_quoted(value) for value in values])

    def header(self, about: Sequence[str]) -> str:
        return "\n".join(
            [
                *(f"/* {_plain(line)} */" for line in about),
                "/* Written by ser-edge convert --c-array. */",
                f"#ifndef {self._guard}",
                f"#define {self._guard}",
                "",
                "#ifdef __cplusplus",
                'extern "C" {',
                "#endif",
                "",
                *self._declared,
                "",
                "#ifdef __cplusplus",
                "}",
                "#endif",
                "",
                f"#endif /* {self._guard} */",
                "",
            ]
        )

    def source(self, stem: str, about: Sequence[str]) -> str:
        return "\n".join(
            [
                *(f"/* {_plain(line)} */" for line in about),
                f'#include "{stem}.h"',
                "",
                "#if defined(__cplusplus)",
                f"#define SER_EDGE_ALIGNED alignas({ALIGNMENT})",
                "#else",
                f"#define SER_EDGE_ALIGNED _Alignas({ALIGNMENT})",
                "#endif",
                "",
                *self._defined,
                "",
            ]
        )

    def _array(self, name: str, kind: str, values: Sequence[str]) -> None:
        symbol = f"{self._prefix}_{name}"
        self._declared.append(f"extern const {kind} {symbol}[{len(values)}];")
        self._define(f"const {kind} {symbol}[{len(values)}]", _rows(values))

    def _define(self, left: str, rows: Iterator[str]) -> None:
        self._defined.append("\n".join([f"{left} = {{", *rows, "};"]))

    def _macro(self, name: str) -> str:
        return f"{self._prefix.upper()}_{name.upper()}"


def _rows(values: Sequence[str], width: int = 96) -> Iterator[str]:
    row = ""
    for value in values:
        if len(row) + len(value) + 1 > width:
            yield f"    {row}"
            row = ""
        row += f"{value},"
    if row:
        yield f"    {row}"


def _literal(value: float) -> str:
    """A number as C has it; nine digits give every float32 back."""
    if isinstance(value, int):
        return str(value)
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"


def _quoted(text: str) -> str:
    """A string as C has it: pure ASCII, bytes of UTF-8 in octal, no trigraphs."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


def _plain(text: str) -> str:
    """Text that cannot end a comment, begin another or continue a line."""
    line = " ".join(text.split()).encode("ascii", "replace").decode()
    return line.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("?", ".")
