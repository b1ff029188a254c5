"""``ser-edge explain``: which stretch of a recording decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ser_edge.extras import need
from ser_edge.options import OutFile, Seconds, interpreter_options
from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    from pathlib import Path

    from ser_edge_runtime.delegates import Delegate
    from ser_edge_train.explanation import Explanation

PICTURES = (".svg", ".png", ".html")


class Picture(OutFile):
    """A picture to write, of a kind that is known."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Reads ``value``; another suffix is a usage error."""
        path = super().convert(value, param, ctx)
        if path.suffix.lower() not in PICTURES:
            self.fail(f"{path} ends in none of {', '.join(PICTURES)}", param, ctx)
        return path


@click.command(
    "explain",
    epilog="""\b
Examples:
  ser-edge explain clip.wav
  ser-edge explain clip.wav --out why.html
  ser-edge explain clip.wav --label sad --stretch 0.5 --json

Stretches of the features are replaced by their mean, one after the other, and the model
file is asked again: what the answer's probability loses is how much it rests on them. Any
model file will do, and nothing but its interpreter is needed; a picture (--out) needs
matplotlib.""",
)
@click.argument("clip", metavar="CLIP")
@click.option("--label", metavar="EMOTION", help="Emotion to explain instead of the model's "
              "answer.")  # fmt: skip
@click.option("--stretch", type=Seconds(), default=0.3, show_default=True, help="Seconds that are "
              "replaced at a time.")  # fmt: skip
@click.option("--step", type=Seconds(), default=0.05, show_default=True, help="Seconds from one "
              "stretch to the next.")  # fmt: skip
@click.option("--out", type=Picture(), metavar="FILE", help="Picture to write: .svg, .png, or a "
              "page with players, .html.")  # fmt: skip
@interpreter_options
@output_options()
def command(
    clip: str,
    label: str | None,
    stretch: float,
    step: float,
    out: Path | None,
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Show which stretch of a recording decided.

    Prints the answer, the stretch that it rests on, and what is left of it without that
    stretch.
    """
    if out is not None:
        need("train", "the picture of an explanation", "matplotlib", "jinja2")
    from ser_edge_runtime.audio import load_audio
    from ser_edge_runtime.classifier import Classifier
    from ser_edge_train.explanation import explain

    samples, rate = load_audio(clip)
    classifier = Classifier.load(model, threads=threads, interpreter=interpreter, delegate=delegate)
    with output.progress("explaining") as progress:
        found = explain(
            classifier, samples, rate, label=label, stretch=stretch, step=step, progress=progress
        )
    if out is not None:
        from ser_edge_train.report.explanation_picture import write_picture

        write_picture(out, found, samples, rate, clip)
    _print(clip, found, output)
    if out is not None:
        output.text(f"wrote {out}")
    return output.exit_code


def _print(clip: str, found: Explanation, output: Output) -> None:
    output.text(f"{clip}: {found.label} {100 * found.score:.1f} %")
    without = found.without
    if found.deciding is None or without is None:
        output.text("no stretch lowers it")
    else:
        best = sorted(without, key=lambda name: -without[name])[:2]
        shown = best if found.label in best else [*best, found.label]
        left = ", ".join(f"{name} {100 * without[name]:.1f} %" for name in shown)
        output.text(
            f"decided by {found.deciding.start:.2f} to {found.deciding.end:.2f} s; "
            f"without it {left}"
        )
    output.record({"path": clip, **found.to_json()})
