"""``ser-edge bundle``: all that a device without network needs, as a folder or a Debian package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ser_edge.devices.platforms import INTERPRETERS, PLATFORMS, PYTHONS
from ser_edge.options import out_file
from ser_edge.output import Output, output_options

MAINTAINER = "ser-edge bundle <root@localhost>"


class Maintainer(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 alone
    """Who makes a package, as Debian wants it."""

    name = "maintainer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Reads ``value``; anything but a name and an address on one line is a usage error."""
        text = str(value)
        name, bracket, address = text.partition(" <")
        if not (text.isprintable() and name and bracket and address[1:].rstrip(">")):
            self.fail(f"{value!r} is not as 'Name <address>'", param, ctx)
        return text


@click.command(
    "bundle",
    epilog="""\b
Examples:
  ser-edge bundle model.tflite --platform aarch64 --out kitchen
  ser-edge bundle model.tflite --platform aarch64 --python 3.13 --sign ~/.ssh/id_ed25519 --out k
  ser-edge bundle model.tflite --platform armhf --debs numpy-debs --out old-pi
  ser-edge bundle model.tflite --platform aarch64 --deb --out ser-edge_arm64.deb

On the device: sh install.sh in the folder, or apt install ./ser-edge_arm64.deb. Nothing is
fetched there. 32-bit Raspberry Pi OS is armhf, whatever uname says: PyPI has no numpy for it,
so python3-numpy of the system is used. docs/bundle.md has all of it.""",
)
@click.argument("model")
@click.option("--platform", type=click.Choice(list(PLATFORMS)), required=True,
              help="The device's system: what dpkg --print-architecture or getconf LONG_BIT "
              "says of it, and not uname.")  # fmt: skip
@click.option("--python", type=click.Choice(PYTHONS), default="3.11", show_default=True,
              help="The device's Python.")  # fmt: skip
@click.option("--out", type=click.Path(), metavar="PATH", required=True,
              help="Folder to write, missing or empty; with --deb, the package.")  # fmt: skip
@click.option("--deb", is_flag=True, help="Write a Debian package.")
@click.option("--interpreter", "brought", type=click.Choice(INTERPRETERS),
              help="Interpreter to bring; by default ai-edge-litert, for armhf "
              "tflite-runtime.")  # fmt: skip
@click.option("--signature", metavar="FILE", help="Detached signature; by default MODEL.sig.")
@click.option("--sign", metavar="KEY", help="OpenSSH key to sign the model with now.")
@click.option("--wheel", metavar="FILE", help="ser-edge's own wheel; by default built of the "
              "source that runs here.")  # fmt: skip
@click.option("--wheels", metavar="FOLDER",
              help="Take all other wheels from a folder, and ask no index.")  # fmt: skip
@click.option("--constraint", metavar="FILE", help="File of versions, as pip takes it.")
@click.option("--debs", metavar="FOLDER",
              help="Debian packages to go along, as python3-numpy for armhf.")  # fmt: skip
@click.option("--maintainer", type=Maintainer(), default=MAINTAINER, show_default=True,
              help="Who makes the package (--deb).")  # fmt: skip
@output_options()
def command(
    model: str,
    platform: str,
    python: str,
    out: str,
    deb: bool,
    brought: str | None,
    signature: str | None,
    sign: str | None,
    wheel: str | None,
    wheels: str | None,
    constraint: str | None,
    debs: str | None,
    maintainer: str,
    output: Output,
) -> int:
    """Put all that a device without network needs into one folder.

    The folder holds wheels for the device's system and Python, the model, its signature, an
    install script and digests of it all; --deb makes a Debian package instead.
    """
    from ser_edge.devices.bundle import Order, write_bundle
    from ser_edge.devices.debian_package import write_deb
    from ser_edge.devices.device import read_signature
    from ser_edge_runtime import __version__
    from ser_edge_runtime.digests import sha256_hex
    from ser_edge_runtime.model_file import read_model_bytes
    from ser_edge_runtime.signatures import sign as make_signature

    if signature is not None and sign is not None:
        raise click.UsageError("--signature and --sign exclude each other")
    if deb and debs is not None:
        raise click.UsageError("--debs is for a folder; a package depends on others by itself")
    path = out_file("--out", out) if deb else _folder(out)
    data = read_model_bytes(model)
    kind = PLATFORMS[platform]
    order = Order(
        model,
        data,
        None if sign is not None else read_signature(model, signature),
        kind,
        python,
        brought or kind.interpreter,
        _existing(wheel),
        _existing(wheels),
        _existing(constraint),
        _packages(debs),
    )
    order.model(__version__)  # before minutes of fetching, and before a passphrase is asked for
    if sign is not None:
        from dataclasses import replace

        order = replace(order, signature=make_signature(data, Path(sign), model))
    with output.progress("fetching wheels") as progress:
        found = (
            write_deb(order, path, maintainer, progress)
            if deb
            else write_bundle(order, path, progress)
        )
    files = [path] if deb else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    then = f"apt install ./{path.name}" if deb else f"sh {path.name}/install.sh"
    output.record(
        {
            "path": str(path),
            "platform": platform,
            "python": python,
            "interpreter": order.interpreter,
            "model": sha256_hex(data),
            "signed": order.signature is not None,
            "wheels": {wheel.name: wheel.version for wheel in found},
            "bytes": size,
        },
        f"{path}: {len(found)} wheels for {platform} and Python {python}, "
        f"{size / 1e6:.1f} MB; on the device: {then}",
    )
    return 0


def _folder(out: str) -> Path:
    path = Path(out)
    if not path.resolve().parent.is_dir():
        raise click.UsageError(f"the folder of {path} does not exist; create it first")
    return path


def _existing(named: str | None) -> Path | None:
    from ser_edge_runtime.errors import MissingFile

    if named is None:
        return None
    path = Path(named)
    if not path.exists():
        raise MissingFile(path, "no such file or folder", "check the name")
    return path.resolve()


def _packages(folder: str | None) -> tuple[Path, ...]:
    from ser_edge.devices.wheels import BundleFault

    place = _existing(folder)
    if place is None:
        return ()
    found = tuple(sorted(place.glob("*.deb")))
    if not found:
        raise BundleFault(place, "holds no .deb", "fetch some: apt download python3-numpy")
    return found
