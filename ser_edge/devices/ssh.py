"""A device that is reached by the system's OpenSSH client, and runs ser-edge itself."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import Any
from urllib.parse import urlsplit

from ser_edge.devices.device import DeviceFault, Upload

_NOT_CONNECTED = 255
_NOT_FOUND = 127
# A cable that is pulled is noticed within a minute, not within the two hours of TCP.
_PATIENCE = ("ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=3")


class SshDevice:
    """Slots on a machine behind ``ssh``.

    One connection does all of it: the device gets model and signature whole before it writes
    anything, so that one that is cut leaves nothing behind.

    Args:
        target: ``ssh://[user@]host[:port]/path``; a path that begins with ``/~/`` is below the
            user's home.
        ssh: The client and its options, as a shell has them.
        command: What ``ser-edge`` is called there.
        interactive: Whether the client may ask for a password.
    """

    def __init__(
        self,
        target: str,
        *,
        ssh: str = "ssh",
        command: str = "ser-edge",
        interactive: bool = True,
    ) -> None:
        parts = urlsplit(target)
        if not parts.hostname or parts.netloc.startswith("-") or len(parts.path) < 2:
            raise DeviceFault(target, "names no host and path", "write ssh://user@host/path")
        self._target = target
        self._host = f"ssh://{parts.netloc}"
        self._folder = parts.path.removeprefix("/~/")
        self._command = command
        self._ssh = [*shlex.split(ssh), "-T"]
        for option in (*_PATIENCE, *(() if interactive else ("BatchMode=yes",))):
            self._ssh += ["-o", option]

    def status(self) -> dict[str, Any]:
        """As :meth:`Device.status`."""
        return self._run("status")

    def install(self, upload: Upload) -> dict[str, Any]:
        """As :meth:`Device.install`."""
        signature = upload.signature or b""
        words = ["--bytes", str(len(upload.data)), "--signature-bytes", str(len(signature))]
        if upload.allow_downgrade:
            words.append("--allow-downgrade")
        if upload.dry_run:
            words.append("--dry-run")
        return self._run("install", *words, given=upload.data + signature)

    def rollback(self, *, dry_run: bool = False) -> dict[str, Any]:
        """As :meth:`Device.rollback`."""
        return self._run("rollback", *(["--dry-run"] if dry_run else []))

    def _run(self, action: str, *words: str, given: bytes = b"") -> dict[str, Any]:
        if shutil.which(self._ssh[0]) is None:
            raise DeviceFault(
                self._target,
                f"{self._ssh[0]} is not here",
                "install it: apt install openssh-client",
            )
        there = [*shlex.split(self._command), "slots", action, self._folder, "--json", *words]
        done = subprocess.run(
            [*self._ssh, "--", self._host, shlex.join(there)],
            input=given,
            capture_output=True,
            check=False,
        )
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        answer = done.stdout.decode("utf-8", "replace").strip().splitlines()
        if answer and (done.returncode == 0 or action == "status"):
            try:
                values = json.loads(answer[-1])
            except (ValueError, RecursionError):
                values = None
            if isinstance(values, dict) and "current" in values:
                return values
        last = said[-1] if said else f"the connection ended with {done.returncode}"
        if done.returncode == _NOT_FOUND:
            raise DeviceFault(
                self._target, f"{self._command} is not there ({last})",
                "install ser-edge on the device, or name it with --device-command",
            )  # fmt: skip
        if last.startswith("ser-edge: "):
            fault, _, hint = last.removeprefix("ser-edge: ").rpartition("; ")
            raise DeviceFault(self._target, fault or hint, hint)
        hint = "see: ssh -v" if done.returncode == _NOT_CONNECTED else "see: ser-edge status TARGET"
        raise DeviceFault(self._target, last, hint)
