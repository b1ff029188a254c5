"""The sockets that a service listens on: an address of this machine, a path, or both."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ser_edge_runtime.errors import CannotListen

SOCKET_NAME = "ser-edge.sock"
_BACKLOG = 128


def default_socket_path() -> str | None:
    """Where the Unix socket lies if nobody says; None where only a shared folder would be left.

    A folder that no other user may enter: the one that systemd made for the unit
    (``RuntimeDirectory=``), else the user's own (``XDG_RUNTIME_DIR``).
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        folder = os.environ.get(variable, "").partition(":")[0]
        if folder and Path(folder).is_dir():
            return str(Path(folder) / SOCKET_NAME)
    return None


def is_loopback(host: str) -> bool:
    """Whether an address, as a socket tells it, can be reached from this machine alone."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def bind_tcp(host: str, port: int) -> socket.socket:
    """A socket bound to an address of this machine.

    Args:
        host: A name or an address; of several that a name has, the first.
        port: 0 takes a free one.

    Raises:
        CannotListen: The name is unknown, the address is not this machine's, or the
            port is taken or not allowed.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as fault:
        raise CannotListen(where, _words(fault), "name an address of this machine") from None
    try:
        if os.name == "posix":
            # Windows would let two services share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as fault:
        listener.close()
        hint = "choose another with --port, or an address of this machine with --host"
        raise CannotListen(where, _words(fault), hint) from None
    return listener


@contextmanager
def unix_socket(path: str) -> Iterator[socket.socket]:
    """A socket bound to a path, for this user alone; its file goes when the block ends.

    A file that a service left behind when it was killed is replaced.

    Raises:
        CannotListen: Another service listens there, something else lies there, or the
            folder does not allow it.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.closing(listener):
        try:
            _make_way(path)
            # The mode is that of the moment of binding: nobody else ever gets in.
            before = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
            listener.listen(_BACKLOG)
            made = Path(path).stat().st_ino
        except OSError as fault:
            hint = "name another path with --socket, or leave it out with --no-socket"
            raise CannotListen(path, _words(fault), hint) from None
        try:
            yield listener
        finally:
            # Not a file that another service has put there since.
            with contextlib.suppress(OSError):
                if Path(path).stat().st_ino == made:
                    Path(path).unlink()


def _make_way(path: str) -> None:
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise OSError("there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            raise OSError("another service listens there")


def _words(fault: Exception) -> str:
    return (getattr(fault, "strerror", None) or str(fault)).lower()
