"""Addresses and paths to listen on."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from ser_edge_runtime.errors import CannotListen
from ser_edge_runtime.service.sockets import (
    bind_tcp,
    default_socket_path,
    is_loopback,
    unix_socket,
)


def test_a_port_is_bound_and_listens():
    with bind_tcp("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        socket.create_connection(listener.getsockname()).close()


def test_a_port_that_is_taken_is_told():
    with bind_tcp("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port} \(address already.*--port"):
            bind_tcp("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such name", "a" * 300])
def test_an_address_that_is_not_here_is_told(host):
    with pytest.raises(CannotListen, match="an address of this machine"):
        bind_tcp(host, 0)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_which_addresses_only_this_machine_reaches(address, here):
    assert is_loopback(address) is here


def test_a_unix_socket_is_for_this_user_alone_and_goes_with_the_service(tmp_path):
    path = tmp_path / "s"
    mask = os.umask(0)
    os.umask(mask)
    with unix_socket(str(path)):
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()
    assert os.umask(mask) == mask


def test_what_a_killed_service_left_behind_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    assert path.exists()
    with unix_socket(str(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_running_service_is_not_driven_out(tmp_path):
    path = str(tmp_path / "s")
    with unix_socket(path):
        with pytest.raises(CannotListen, match=r"another service.*--socket"), unix_socket(path):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_a_file_is_never_replaced(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(CannotListen, match="no socket"), unix_socket(str(path)):
        pass
    assert path.read_text() == "mine"


def test_a_socket_that_took_its_place_is_left_alone(tmp_path):
    path = tmp_path / "s"
    with unix_socket(str(path)):
        # While the first file still is there, the second cannot be given its number.
        path.rename(tmp_path / "moved")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.exists()


@pytest.mark.parametrize("name", ["no/such/folder", "n" * 200])
def test_a_path_that_cannot_be_had_is_told(tmp_path, name):
    with pytest.raises(CannotListen, match="--no-socket"), unix_socket(str(tmp_path / name)):
        pass


def test_by_default_the_socket_lies_where_nobody_else_comes(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_socket_path() == str(tmp_path / "ser-edge.sock")
    (tmp_path / "unit").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path / 'unit'}:/elsewhere")
    assert default_socket_path() == str(tmp_path / "unit" / "ser-edge.sock")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert default_socket_path() is None
