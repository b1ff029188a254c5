"""ser-edge and a model as a Debian package, for fleets that live on apt already.

The wheels lie unpacked in ``/usr/lib/ser-edge``, which no other program sees; the model lies in
``/usr/share/ser-edge`` and goes from there into the slots of ``/var/lib/ser-edge``, which the
package does not own: they stay when it is removed, and go when it is purged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser_edge.devices.bundle import MODEL, SIGNATURE, Order, Progress, beside, gather, glibc_of
from ser_edge.devices.debian_archive import Entry, write_package
from ser_edge.devices.wheels import BundleFault, Wheel, unpacked
from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.model_file import ModelFile
from ser_edge_runtime.slot_rules import release_of

PROGRAMS, SHARED, SLOTS = "usr/lib/ser-edge", "usr/share/ser-edge", "/var/lib/ser-edge"

# Isolated, so that neither a user's own packages nor PYTHONPATH get in between. Worker processes
# import this file again, hence the last condition.
_LAUNCHER = f"""\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/{PROGRAMS}")

from ser_edge.cli import main

if __name__ == "__main__":
    main()
"""

_POSTINST = f"""\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    # As root this also compiles what a call will import.
    /usr/bin/python3 -I -c 'import sys; sys.path.insert(0, "/{PROGRAMS}")
from ser_edge.devices.packaged import main
sys.exit(main(sys.argv[1:]))' /{SHARED}/{MODEL} {SLOTS}
fi
"""

# Compiled files are nobody's to dpkg, and those of an old version must not meet a new one.
_PRERM = f"""\
#!/bin/sh
set -e
if [ -d /{PROGRAMS} ]; then
    find /{PROGRAMS} -depth -type d -name __pycache__ -exec rm -rf {{}} +
fi
"""

_POSTRM = f"""\
#!/bin/sh
set -e
case $1 in
    remove) rm -rf /{PROGRAMS} ;;
    purge) rm -rf /{PROGRAMS} {SLOTS} ;;
esac
"""

_SUMMARY = """\
Description: speech emotion recognition for small devices
 Classifies recordings and live sound with a TFLite model. This package brings
 the programs, the packages that they need and a model, {model}, which it puts
 into the slots of /var/lib/ser-edge. A model that was put there otherwise stays.
"""


def write_deb(
    order: Order, out: Path, maintainer: str, progress: Progress | None = None
) -> list[Wheel]:
    """Builds a package and writes it whole.

    Args:
        order: What is wanted.
        out: The file; it must be missing.
        maintainer: Who made it, as ``Name <address>``.
        progress: As :func:`ser_edge.devices.bundle.gather`.

    Returns:
        The wheels in it, by name.

    Raises:
        BundleFault: ``out`` is there, or something cannot be had.
        SerEdgeError: The model is not for that machine.
    """
    if out.exists():
        raise BundleFault(out, "is there already", "name another, or remove it")
    with beside(out) as place:
        model, wheels = gather(order, place, progress)
        files = contents(order, model, wheels)
        scripts = {"postinst": _POSTINST, "prerm": _PRERM, "postrm": _POSTRM}
        control = {"control": control_of(order, model, wheels, files, maintainer), **scripts}
        write_atomically(out, write_package(control, files))
    return wheels


def contents(order: Order, model: ModelFile, wheels: Sequence[Wheel]) -> dict[str, Entry]:
    """The files of the package.

    Raises:
        BundleFault: Two wheels bring the same file, or one is damaged.
    """
    files: dict[str, Entry] = {}
    for wheel in wheels:
        for name, data in unpacked(wheel).items():
            path = f"{PROGRAMS}/{name}"
            if path in files and files[path].data != data:
                raise BundleFault(wheel.path, f"brings another {name}", "leave one of the two out")
            files[path] = Entry(data)
    files["usr/bin/ser-edge"] = Entry(_LAUNCHER.encode(), executable=True)
    files[f"{SHARED}/{MODEL}"] = Entry(order.data)
    if order.signature is not None:
        files[f"{SHARED}/{SIGNATURE}"] = Entry(order.signature)
    files["usr/share/doc/ser-edge/copyright"] = Entry(_copyright(model).encode())
    return files


def control_of(
    order: Order,
    model: ModelFile,
    wheels: Sequence[Wheel],
    files: Mapping[str, Entry],
    maintainer: str,
) -> str:
    """The control file, as deb-control(5) describes it."""
    platform = order.platform
    kibibytes = sum(-(-len(entry.data) // 1024) for entry in files.values())
    fields = {
        "Package": "ser-edge",
        "Version": debian_version(wheels, model),
        "Architecture": platform.architecture,
        "Maintainer": maintainer,
        "Installed-Size": str(kibibytes),
        "Depends": ", ".join(platform.depends(order.python, glibc_of(wheels))),
        "Recommends": ", ".join(platform.recommends()),
        "Suggests": "openssh-client",
        "Section": "sound",
        "Priority": "optional",
    }
    name = re.sub(r"[^ -~]", "?", model.metadata.name)[:60]
    lines = [f"{field}: {value}\n" for field, value in fields.items() if value]
    return "".join(lines) + _SUMMARY.format(model=name)


def debian_version(wheels: Sequence[Wheel], model: ModelFile) -> str:
    """ser-edge's version and behind it the model's release, so that a newer one of either wins."""
    (own,) = (wheel.version for wheel in wheels if wheel.name == "ser-edge")
    # Debian sorts what follows a tilde before the version without it, as Python means it.
    own = re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", own).replace("-", ".")
    return f"{own}-{release_of(model)}"


def _copyright(model: ModelFile) -> str:
    metadata = model.metadata
    return (
        "ser-edge is under the MIT licence; the packages that it brings, under those in\n"
        f"/{PROGRAMS}/*.dist-info.\n\nThe model {metadata.name}:\n"
        f"{metadata.licence.strip() or 'not stated'}\n"
    )
