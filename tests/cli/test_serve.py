"""The whole command: a process that listens, answers, takes signals and ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ser_edge.cli import run
from ser_edge.commands import serve
from ser_edge.extras import EXTRAS
from ser_edge.output import Output
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.model_file import default_model_path
from tests.cli.conftest import ROOT
from tests.runtime.service.running import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and Unix sockets")


class Served:
    """A running ``ser-edge serve --json``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.ready = self.event()

    def event(self) -> dict:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def ask(self, method="GET", path="/health", body=None) -> tuple[int, dict]:
        address = self.ready["http"].removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def end(self, number: int) -> tuple[int, list[dict], str]:
        """Exit code, last events and standard error after a signal."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture
def served(tmp_path):
    @contextmanager
    def start(*words, port="0"):
        environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
        environment.pop("RUNTIME_DIRECTORY", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "ser_edge", "serve", "--json", "--port", port, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        with process:
            try:
                yield Served(process)
            finally:
                process.kill()

    return start


def test_serves_the_default_model_until_it_is_told_to_end(served, ser_edge, clip, tmp_path):
    with served() as service:
        assert service.ready["event"] == "listening"
        assert service.ready["http"].startswith("http://127.0.0.1:")
        assert service.ready["socket"] == str(tmp_path / "ser-edge.sock")
        assert service.ready["model"] == sha256_hex(default_model_path().read_bytes())
        status, answer = service.ask("POST", "/classify", clip.read_bytes())
        assert status == 200
        assert service.ask("POST", "/classify", b"garbage")[0] == 415
        code, events, err = service.end(signal.SIGTERM)
    assert (code, err) == (0, "")
    assert events == [{"event": "ended", "requests": 2}]
    assert not (tmp_path / "ser-edge.sock").exists()
    (row,) = map(json.loads, ser_edge("classify", clip, "--json").stdout.splitlines())
    shared = set(row) & set(answer)
    assert shared >= {"label", "score", "scores", "seconds"}
    assert {name: row[name] for name in shared} == {name: answer[name] for name in shared}


def test_ctrl_c_is_how_it_ends_and_a_hang_up_reads_the_model_again(served, model, tmp_path):
    path = tmp_path / "model.tflite"
    write_atomically(path, model.read_bytes())
    with served("--model", path, "--no-socket") as service:
        assert service.ready["socket"] is None
        service.process.send_signal(signal.SIGHUP)
        assert service.event() == {"event": "model", "model": sha256_hex(model.read_bytes())}
        write_atomically(path, b"damaged")
        service.process.send_signal(signal.SIGHUP)
        event = service.event()
        assert event["event"] == "model refused"
        assert str(path) in event["error"]
        assert service.ask()[1]["model"]["sha256"] == sha256_hex(model.read_bytes())
        write_atomically(path, default_model_path().read_bytes())
        service.process.send_signal(signal.SIGHUP)
        assert service.event()["model"] == sha256_hex(default_model_path().read_bytes())
        code, events, err = service.end(signal.SIGINT)
    assert code == 0
    assert [event["event"] for event in events] == ["ended"]
    assert err.count("\n") == 1
    assert err.startswith("ser-edge: the model in use stays: ")


def test_limits_come_from_the_options(served, model, clip):
    options = ["--model", model, "--max-seconds", "1", "--max-mib", "1", "--no-socket"]
    with served(*options) as service:
        assert service.ask("POST", "/classify", clip.read_bytes())[1]["kind"] == "RecordingTooLong"
        assert service.ask("POST", "/classify", bytes(1 + (1 << 20)))[1]["kind"] == "TooLarge"


def test_two_services_do_not_share_a_port_or_a_path(served, ser_edge, model, one_line, tmp_path):
    with served("--model", model) as service:
        port = service.ready["http"].rstrip("/").rpartition(":")[2]
        done = ser_edge("serve", "--model", model, "--no-socket", "--port", port)
        one_line(done, 1, f"127.0.0.1:{port}", "--port")
        path = tmp_path / "ser-edge.sock"
        done = ser_edge("serve", "--model", model, "--no-http", "--socket", path)
        one_line(done, 1, str(path), "another service", "--socket")
        assert service.ask()[0] == 200


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--socket", "s", "--no-socket"], "exclude each other"),
        (["--no-http", "--no-socket"], "nothing to listen on"),
        (["--port", "65536"], "--port"),
        (["--max-seconds", "0"], "--max-seconds"),
    ],
)
def test_options_that_contradict_each_other(capsys, words, said):
    assert run(["serve", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert "ser-edge serve --help" in err


def test_a_model_that_cannot_be_read_is_told_before_anything_listens(capsys, tmp_path):
    assert run(["serve", "--model", str(tmp_path / "none.tflite")]) == 1
    assert "none.tflite: no such file" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(EXTRAS, "service", ("uvicorn", "no_such_module"))
    assert run(["serve"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install 'ser-edge[service]'" in err


def test_its_help_loads_no_server_and_no_numpy():
    code = (
        "import sys; from ser_edge.cli import run; assert run(['serve', '--help']) == 0;"
        "found = {'uvicorn', 'starlette', 'asyncio', 'numpy'} & set(sys.modules);"
        "raise SystemExit(str(found) if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--max-seconds" in done.stdout


class Listener:
    def __init__(self, address: str) -> None:
        self.address = address

    def getsockname(self):
        return self.address, 80, 0, 0


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::"])
def test_an_address_that_others_reach_is_warned_of(capsys, address):
    told = serve._Told(Output())
    told.address(Listener(address), address)
    assert not told.private
    err = capsys.readouterr().err
    assert address in err
    assert "warning" in err


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_is_not(capsys, address):
    told = serve._Told(Output())
    told.address(Listener(address), address)
    assert told.private
    assert capsys.readouterr().err == ""
