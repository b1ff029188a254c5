"""An explanation as a picture: the sound above, below what the answer loses without each moment."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.files import write_atomically, write_text_atomically
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, LogMel
from ser_edge_runtime.resampling import resample
from ser_edge_train.explanation import Explanation
from ser_edge_train.report.players import address

try:
    import matplotlib as mpl
    from markupsafe import Markup
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ser_edge_train.report import page, plots
except ImportError:
    raise MissingExtra("the picture of an explanation", "train") from None

SUFFIXES: Final = (".svg", ".png", ".html")
PAPER: Final = "#fdfcfa"
LIGHT: Final = {
    plots.INK: "#1b1d22",
    plots.MUTED: "#5f6470",
    plots.RULE: "#dcd9d1",
    plots.FIRST: "#24598f",
    plots.SECOND: "#a8571b",
}
"""The page's light colours, for pictures that stand alone; see page.css."""
COLUMNS: Final = 1200
LOWEST_DB: Final = 70.0
DOTS_PER_INCH: Final = 160

Samples = npt.NDArray[np.float32]


def write_picture(
    path: Path,
    explanation: Explanation,
    samples: Samples,
    sample_rate: int,
    recording: str | Path,
) -> None:
    """Writes an explanation as ``.svg``, ``.png`` or ``.html``, by the suffix of ``path``.

    The page is self-contained; its players read the recording from the disk.

    Args:
        path: What to write.
        explanation: What is shown.
        samples: The recording, float32 (n,).
        sample_rate: Its rate, in Hz.
        recording: Its file; the last part of the name becomes the title.

    Raises:
        ValueError: The suffix is none of :data:`SUFFIXES`.
        OSError: The file cannot be written.
    """
    name = Path(recording).name
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{path}: not one of {', '.join(SUFFIXES)}")
    if kind == ".png":
        write_atomically(path, _png(explanation, samples, sample_rate, name))
    elif kind == ".svg":
        write_text_atomically(path, _svg(explanation, samples, sample_rate, name))
    else:
        place = address(recording, path.parent)
        write_text_atomically(path, render(explanation, samples, sample_rate, name, place))


def render(
    explanation: Explanation,
    samples: Samples,
    sample_rate: int,
    name: str,
    player: str | None = None,
) -> str:
    """The page of an explanation as HTML.

    Args:
        explanation: What is shown.
        samples: The recording, float32 (n,).
        sample_rate: Its rate, in Hz.
        name: What the page calls it.
        player: Address of the recording; None for a page without players.
    """
    with _style(plots.STYLE, "explanation"):
        figure = _draw(explanation, samples, sample_rate, {})
        title = _title(explanation, name)
        picture = plots.as_svg(figure, "explanation", title)
    labels = sorted(explanation.scores, key=lambda label: -explanation.scores[label])
    return (
        page.environment()
        .get_template("explanation.html.j2")
        .render(
            explanation=explanation,
            labels=labels,
            name=name,
            picture=Markup(picture),
            player=player,
            policy=page.policy({} if player is None else {name: player}),
        )
    )


def _png(explanation: Explanation, samples: Samples, sample_rate: int, name: str) -> bytes:
    with _style(_recoloured(LIGHT), "explanation"):
        figure = _draw(explanation, samples, sample_rate, LIGHT)
        figure.suptitle(_title(explanation, name), fontsize=10, color=LIGHT[plots.INK])
        FigureCanvasAgg(figure)
        stream = io.BytesIO()
        # No name of the program, whose version would change the bytes.
        figure.savefig(
            stream, format="png", dpi=DOTS_PER_INCH, facecolor=PAPER, metadata={"Software": None}
        )
        return stream.getvalue()


def _svg(explanation: Explanation, samples: Samples, sample_rate: int, name: str) -> str:
    with _style(_recoloured(LIGHT), "explanation"):
        figure = _draw(explanation, samples, sample_rate, LIGHT)
        title = _title(explanation, name)
        figure.suptitle(title, fontsize=10, color=LIGHT[plots.INK])
        text = plots.as_svg(figure, "explanation", title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" style="background:{PAPER}" '
    # Inside a page the type is the page's; alone it is a common one.
    return text.replace("<svg ", head + 'font-family="system-ui, Arial, sans-serif" ', 1) + "\n"


def _style(values: Mapping[str, Any], salt: str) -> Any:
    return mpl.rc_context({**values, "svg.hashsalt": salt, "axes.grid": False})


def _recoloured(colours: Mapping[str, str]) -> dict[str, Any]:
    return {key: colours.get(str(value), value) for key, value in plots.STYLE.items()}


def _title(explanation: Explanation, name: str) -> str:
    words = f"{name}: {explanation.label} {100 * explanation.score:.1f} %"
    if explanation.deciding is None or explanation.without is None:
        return f"{words}, and no stretch lowers it"
    start, end = explanation.deciding.start, explanation.deciding.end
    rest = 100 * explanation.without[explanation.label]
    return f"{words}; without {start:.2f} to {end:.2f} s: {rest:.1f} %"


def _draw(
    explanation: Explanation, samples: Samples, sample_rate: int, colours: Mapping[str, str]
) -> Figure:
    ink, muted, first, second = (
        colours.get(mark, mark) for mark in (plots.INK, plots.MUTED, plots.FIRST, plots.SECOND)
    )
    figure = Figure(figsize=(9.2, 5.4), layout="constrained")
    wave, mel, curve = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2, 2))
    edges, low, high = _envelope(samples, sample_rate)
    wave.fill_between(edges, low, high, color=ink, linewidth=0.4)
    wave.set(ylabel="sound")
    wave.set_yticks([])
    mel.imshow(
        _log_mel(samples, sample_rate), aspect="auto", origin="lower", cmap="magma",
        extent=(0, explanation.seconds, 0, 64), interpolation="nearest",
    )  # fmt: skip
    mel.set(ylabel="log-mel bands")
    mel.set_yticks([])
    times, drops = explanation.times, 100 * explanation.drops
    curve.axhline(0, color=muted, linewidth=0.8)
    curve.fill_between(times, drops, 0, where=drops > 0, color=first, alpha=0.25, linewidth=0)
    curve.plot(times, drops, color=first)
    curve.set(ylabel=f"drop of {explanation.label},\npoints", xlabel="seconds")
    curve.grid(visible=True, axis="y")
    for axes in (wave, mel, curve):
        axes.spines["bottom"].set_visible(axes is curve)
        axes.tick_params(bottom=axes is curve)
        for start, end in ((0, explanation.heard[0]), (explanation.heard[1], explanation.seconds)):
            if end - start > 0.01 * explanation.seconds:
                axes.axvspan(start, end, color=muted, alpha=0.18, linewidth=0)
        if explanation.deciding is not None:
            span = explanation.deciding
            axes.axvspan(span.start, span.end, color=second, alpha=0.22, linewidth=0)
            for edge in (span.start, span.end):
                axes.axvline(edge, color=second, linewidth=1)
    curve.set_xlim(0, explanation.seconds)
    return figure


def _envelope(samples: Samples, sample_rate: int) -> tuple[Any, Any, Any]:
    """Times, and lowest and highest sample around each: what a screen can show of a waveform."""
    columns = min(COLUMNS, len(samples))
    edges = np.linspace(0, len(samples), columns, endpoint=False).astype(np.int64)
    low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    return edges / sample_rate, low, high


def _log_mel(samples: Samples, sample_rate: int) -> Any:
    """Log-mel bands (64, columns) of the recording, in decibels below its loudest."""
    spec = FrontEndSpec(features=(LogMel(bands=64, top_db=LOWEST_DB),), clip_seconds=None)
    mel = FrontEnd(spec)(resample(samples, sample_rate, spec.sample_rate)).T
    # A picture of an hour would be as wide as its frames: every column a maximum.
    columns = min(COLUMNS, mel.shape[1])
    starts = np.linspace(0, mel.shape[1], columns, endpoint=False).astype(np.int64)
    return np.maximum.reduceat(mel, starts, axis=1)
