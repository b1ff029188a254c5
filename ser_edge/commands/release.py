"""``ser-edge release``: a model file gets its number and its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ser_edge.options import OutFile
from ser_edge.output import Output, output_options


class Version(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 alone
    """A version of ser-edge, as 0.2.0."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Reads ``value``; anything but numbers between points is a usage error."""
        from ser_edge_runtime.slot_rules import version_of

        if version_of(str(value)) is None:
            self.fail(f"{value!r} is no version as 0.2.0", param, ctx)
        return str(value)


@click.command(
    "release",
    epilog="""\b
Examples:
  ser-edge release model.tflite --number 7 --out model-7.tflite
  ser-edge release model.tflite --number 7 --out model-7.tflite --key ~/.ssh/id_ed25519
  ser-edge release model-7.tflite --key ~/.ssh/id_ed25519

A device does not take a model whose number is lower than that of the model in use. The
signature is OpenSSH's (ssh-keygen -Y sign -n model@ser-edge) and lies beside the model, as
FILE.sig.""",
)
@click.argument("model")
@click.option("--number", type=click.IntRange(1, 2**31 - 1),
              help="Number of the release; each higher than the one before.")  # fmt: skip
@click.option("--needs-runtime", type=Version(), metavar="VERSION",
              help="Earliest ser-edge that runs it, as 0.2.0.")  # fmt: skip
@click.option("--out", type=OutFile(), metavar="FILE", help="Model file to write, .tflite.")
@click.option("--key", metavar="FILE", help="OpenSSH key to sign with; a public one if an agent or "
              "a token has the private half.")  # fmt: skip
@output_options()
def command(
    model: str,
    number: int | None,
    needs_runtime: str | None,
    out: Path | None,
    key: str | None,
    output: Output,
) -> int:
    """Number a model file for release, and sign it.

    The number and the runtime it needs are written into its provenance; graph, golden vectors
    and all else stay.
    """
    from dataclasses import replace

    from ser_edge_runtime.digests import sha256_hex
    from ser_edge_runtime.files import write_atomically
    from ser_edge_runtime.model_file import build_model_file, parse_model_file, read_model_bytes
    from ser_edge_runtime.signatures import sign
    from ser_edge_runtime.slot_rules import NEEDS, RELEASE, release_of

    entries: dict[str, Any] = {}
    if number is not None:
        entries[RELEASE] = number
    if needs_runtime is not None:
        entries[NEEDS] = needs_runtime
    if bool(entries) != (out is not None):
        raise click.UsageError("--out and --number or --needs-runtime go together")
    if not entries and key is None:
        raise click.UsageError("nothing to do; give --number and --out, or --key")
    data = read_model_bytes(model)
    found = parse_model_file(data, model)
    path = Path(model) if out is None else out
    if entries:
        provenance = {**found.metadata.provenance, **entries}
        metadata = replace(found.metadata, provenance=provenance)
        data = build_model_file(found.flatbuffer, metadata, found.golden)
        found = parse_model_file(data, str(path))
    # Signed before anything is written: a wrong passphrase leaves no half of a release.
    signature = None if key is None else sign(data, Path(key), str(path))
    if entries:
        write_atomically(path, data)
    signed = Path(f"{path}.sig")
    if signature is not None:
        write_atomically(signed, signature)
    elif entries:
        signed.unlink(missing_ok=True)  # of another file of that name
    words = f"release {release_of(found) or 'none'}"
    output.record(
        {
            "path": str(path),
            "sha256": sha256_hex(data),
            "release": release_of(found),
            "signature": None if signature is None else str(signed),
        },
        f"{path}: {words}, sha256 {sha256_hex(data)[:12]}"
        + ("" if signature is None else f", signed: {signed}"),
    )
    return 0
