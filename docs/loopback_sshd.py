"""An sshd on loopback, with keys and a configuration of its own."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

SER_EDGE = [sys.executable, "-m", "ser_edge"]


class Daemon:
    """An sshd for this user, and what the client needs to reach it."""

    def __init__(self, place: Path) -> None:
        for name in ("host", "user", "maker", "stranger"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", place / name],
                check=True,
            )
        self.place = place
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        shutil.copy(place / "user.pub", place / "authorized")
        (place / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {place}/host\n"
            f"AuthorizedKeysFile {place}/authorized\nPidFile {place}/pid\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "MaxStartups 200\nLogLevel ERROR\n"
        )
        key = (place / "host.pub").read_text().rsplit(maxsplit=1)[0]
        (place / "known").write_text(f"[127.0.0.1]:{self.port} {key}\n")
        (place / "ssh_config").write_text(
            f"IdentityFile {place}/user\nIdentitiesOnly yes\nUserKnownHostsFile {place}/known\n"
            "StrictHostKeyChecking yes\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd_config"],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)  # sshd tells nobody when it listens

    def target(self, folder: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{folder}"

    def options(self) -> list[str]:
        return [
            "--ssh",
            f"ssh -F {self.place}/ssh_config",
            "--device-command",
            shlex.join(SER_EDGE),
        ]

    def call(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SER_EDGE, *map(str, words), *self.options()],
            capture_output=True,
            text=True,
            check=False,
        )

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
