"""Detached signatures in OpenSSH's format, by ``ssh-keygen -Y`` of the system.

docs/flashing.md says why this and not another. The signature of ``model.tflite`` is
``model.tflite.sig``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from ser_edge_runtime.errors import SignatureRefused

NAMESPACE = "model@ser-edge"
"""What is signed is a model, so that a signature of a mail or a commit is none of it."""

LARGEST_SIGNATURE = 1 << 16


def verify(data: bytes, signature: bytes | None, signers: bytes, name: str) -> str:
    """Holds a signature to the keys that a device trusts.

    Args:
        data: What was signed.
        signature: The detached signature; None if there is none.
        signers: An allowed-signers file, as ssh-keygen(1) describes it.
        name: Names the model in errors.

    Returns:
        Who signed: the principal of the key that did.

    Raises:
        SignatureRefused: There is no signature, or not one of ``data`` by one of the keys,
            or no ssh-keygen here that could tell.
    """
    if not signature:
        raise SignatureRefused(
            name, "is not signed, and the device takes signed models alone",
            "sign it with: ser-edge release MODEL --key KEY",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ser-edge-") as made:
        place = Path(made)
        (place / "signers").write_bytes(signers)
        (place / "signature").write_bytes(signature)
        named = ["-f", str(place / "signers"), "-s", str(place / "signature"), "-n", NAMESPACE]
        found = _ssh_keygen(["-Y", "find-principals", *named], b"", name)
        # A key may stand for several people; any of them will do.
        who = found.stdout.decode("utf-8", "replace").partition("\n")[0]
        if found.returncode == 0 and who:
            found = _ssh_keygen(["-Y", "verify", "-I", who, *named], data, name)
            if found.returncode == 0:
                return who
    raise SignatureRefused(
        name, "its signature is not one of this file by a key that the device trusts",
        "fetch model and signature again from who signed it",
    )  # fmt: skip


def sign(data: bytes, key: Path, name: str) -> bytes:
    """Makes a detached signature.

    Args:
        data: What to sign.
        key: A private key, or a public one whose private half an agent or a token has.
        name: Names the model in errors.

    Raises:
        SignatureRefused: ssh-keygen cannot use the key, or is not here.
    """
    with tempfile.TemporaryDirectory(prefix="ser-edge-") as made:
        path = Path(made) / "model"
        path.write_bytes(data)
        words = ["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)]
        # Standard input stays the terminal's: a key may ask for its passphrase there.
        done = _ssh_keygen(words, None, name)
        signature = path.with_name("model.sig")
        if done.returncode == 0 and signature.exists():
            return signature.read_bytes()
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["ssh-keygen failed"]
    raise SignatureRefused(
        name, f"cannot be signed with {key} ({lines[-1]})", "make a key: ssh-keygen -t ed25519"
    )


def _ssh_keygen(
    words: list[str], given: bytes | None, name: str
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SignatureRefused(
            name, "signatures need ssh-keygen", "install it: apt install openssh-client"
        )
    return subprocess.run([program, *words], input=given, capture_output=True, check=False)
