"""A device behind ssh: what is said to the client, and what its answers become."""

from __future__ import annotations

import json

import pytest

from ser_edge.devices.device import DeviceFault, Upload
from ser_edge.devices.ssh import SshDevice
from ser_edge_runtime.model_file import read_model_bytes
from ser_edge_runtime.slots import Slots
from tests.runtime.slots.models import make_key, signers

UPLOAD = Upload("m.tflite", b"model", b"signature")


@pytest.fixture
def answering(tmp_path):
    """A device whose ssh prints and ends as told; it keeps its words and what it was sent."""

    def make(script: str, target: str = "ssh://pi@kitchen:2222/var/lib/a b", **settings):
        path = tmp_path / "ssh.sh"
        path.write_text(
            f"printf '%s\\n' \"$@\" > {tmp_path}/words; cat > {tmp_path}/sent; {script}"
        )
        return SshDevice(target, ssh=f"sh {path}", **settings)

    return make


def words_of(tmp_path) -> list[str]:
    return (tmp_path / "words").read_text().splitlines()


def test_one_connection_carries_model_and_signature(answering, tmp_path):
    device = answering("""echo motd; echo '{"current": null}'""", command="/opt/x/ser-edge")
    assert device.install(UPLOAD) == {"current": None}
    *before, destination, there = words_of(tmp_path)
    assert (before[-1], destination) == ("--", "ssh://pi@kitchen:2222")
    assert there == (
        "/opt/x/ser-edge slots install '/var/lib/a b' --json --bytes 5 --signature-bytes 9"
    )
    assert (tmp_path / "sent").read_bytes() == b"modelsignature"
    assert "BatchMode=yes" not in before


def test_options_go_with_it(answering, tmp_path):
    device = answering("""echo '{"current": null}'""", interactive=False)
    device.install(Upload("m", b"x", None, allow_downgrade=True, dry_run=True))
    words = words_of(tmp_path)
    assert words[-1].endswith("--signature-bytes 0 --allow-downgrade --dry-run")
    assert "BatchMode=yes" in words
    device.rollback(dry_run=True)
    assert "slots rollback '/var/lib/a b' --json --dry-run" in words_of(tmp_path)[-1]


def test_a_folder_below_home(answering, tmp_path):
    answering("""echo '{"current": null}'""", "ssh://pi@kitchen/~/models").status()
    assert words_of(tmp_path)[-1] == "ser-edge slots status models --json"


@pytest.mark.parametrize(("script", "said"), [
    ("echo 'sh: ser-edge: not found' >&2; exit 127", "ser-edge is not there.*--device-command"),
    ("echo 'ssh: connect to host kitchen: No route to host' >&2; exit 255", "No route.*ssh -v"),
    ("echo warning >&2; echo 'ser-edge: m: it is old; take another' >&2; exit 1",
     r": m: it is old; take another$"),
    ("echo 'Error: No such command slots' >&2; exit 2", "No such command"),
    ("exit 1", "the connection ended with 1"),
    ("kill -9 $$", "the connection ended with -9"),
    ("echo garbage", "the connection ended with 0"),
    ("""echo '{"other": 1}'""", "the connection ended with 0"),
])  # fmt: skip
def test_every_other_answer_is_one_line(answering, script, said):
    with pytest.raises(DeviceFault, match=said) as found:
        answering(script).install(UPLOAD)
    assert str(found.value).startswith("ssh://pi@kitchen:2222/var/lib/a b: ")
    assert "\n" not in str(found.value)


def test_a_status_without_a_model_is_an_answer_too(answering):
    assert answering("""echo '{"current": null}'; exit 1""").status() == {"current": None}


def test_no_client(tmp_path):
    with pytest.raises(DeviceFault, match="apt install openssh-client"):
        SshDevice("ssh://kitchen/path", ssh="no-such-ssh").status()


@pytest.mark.parametrize(
    "target", ["ssh://", "ssh:///path", "ssh://host", "ssh://host/", "ssh://-oProxyCommand=x/path"]
)
def test_a_target_that_is_none(target):
    with pytest.raises(DeviceFault, match="ssh://user@host/path"):
        SshDevice(target)


def test_a_whole_life(call, tmp_path, files, options):
    """Set up with a key, flashed, tested there, refused, rolled back, asked."""
    folder = tmp_path / "device"
    key = make_key(tmp_path, "maker")
    (tmp_path / "signers").write_bytes(signers(key))
    assert call("slots", "setup", folder, "--signers", tmp_path / "signers")[0] == 0
    target = f"ssh://host{folder}"
    code, _, (line,) = call("flash", files["1"], target, *options)
    assert (code, "is not signed" in line) == (1, True)
    for name in ("1", "2"):
        code, (row,), _ = call("release", files[name], "--key", key)
        assert (code, row["signature"]) == (0, f"{files[name]}.sig")
        code, (row,), err = call("flash", files[name], target, *options)
        assert (code, err, row["current"]["signer"]) == (0, [], "maker@example.org")
        assert row["current"]["tested"]
    code, (row,), _ = call("rollback", target, *options)
    assert (code, row["current"]["release"]) == (0, 1)
    code, (row,), _ = call("status", target, *options)
    assert (code, row["signed"], row["runtime"] is not None) == (0, True, True)
    assert row["answers"] == Slots.at(folder).state().current.sha256
    assert read_model_bytes(folder) == files["1"].read_bytes()


def test_a_connection_cut_on_its_way_changes_nothing(ser_edge, one_line, tmp_path, files):
    data = files["1"].read_bytes()
    words = ("slots", "install", tmp_path / "device", "--bytes", len(data), "--json")
    done = ser_edge(*words, stdin=data[: len(data) // 2])
    one_line(done, 1, "ended too early; nothing was changed")
    assert not (tmp_path / "device").exists()
    done = ser_edge(*words, stdin=data)
    assert (done.returncode, json.loads(done.stdout)["number"]) == (0, 1)
