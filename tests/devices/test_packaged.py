"""What a package does with its model on the device: whose model is in use afterwards."""

from __future__ import annotations

import pytest

from ser_edge.devices.packaged import BROUGHT, main, take_over
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import SelfTestFailed, SignatureRefused
from ser_edge_runtime.signatures import sign
from ser_edge_runtime.slot_records import Settings
from ser_edge_runtime.slots import Slots
from tests.runtime.slots.models import broken_model, make_key, model, signers


def passes(found) -> str:
    return "an interpreter"


def fails(found) -> str:
    raise SelfTestFailed(found.name, 0.5, 0.1)


@pytest.fixture
def device(tmp_path):
    """Slots, and a package's place for its model."""

    class Device:
        folder = tmp_path / "slots"
        packed = tmp_path / "model.tflite"
        slots = Slots.at(folder)

        def upgrade(self, data, self_test=passes):
            self.packed.write_bytes(data)
            self.folder.mkdir(exist_ok=True)
            return take_over(self.packed, self.folder, self_test)

        def release(self):
            return self.slots.answers().release

    return Device()


def test_a_new_device_gets_the_model(device):
    (line,) = device.upgrade(model(1))
    assert line.startswith(f"{device.folder}: toy (")
    assert line.endswith("release 1) is in use")
    assert device.slots.answers().tested == "an interpreter"


def test_a_newer_packages_model_takes_over(device):
    for release in (1, 2, 3):
        device.upgrade(model(release))
        assert device.release() == release
    assert device.slots.state().previous.release == 2
    known = (device.folder / BROUGHT).read_text().split()
    assert known == [sha256_hex(model(release)) for release in (1, 2, 3)]


def test_a_model_that_was_flashed_meanwhile_is_kept(device):
    device.upgrade(model(1))
    device.slots.install(model(2), None, passes)
    kept, used = device.upgrade(model(3))
    assert kept.startswith("kept toy (")
    assert kept.endswith(f"ser-edge flash {device.packed} {device.folder} --here")
    assert "release 2) is in use" in used
    assert device.release() == 2
    # As before when the same package is installed again.
    device.upgrade(model(3))
    assert device.release() == 2


def test_a_rollback_is_kept_until_a_newer_package_comes(device):
    device.upgrade(model(1))
    device.upgrade(model(2))
    device.slots.rollback(passes)
    assert "kept" in device.upgrade(model(2))[0]
    assert device.release() == 1
    device.upgrade(model(3))
    assert device.release() == 3


def test_an_older_package_leaves_the_newer_model(device):
    device.upgrade(model(1))
    device.upgrade(model(2))
    assert "kept" in device.upgrade(model(1))[0]
    assert device.release() == 2


def test_one_that_the_device_refuses_leaves_the_old_model(device):
    device.upgrade(model(5))
    kept, used = device.upgrade(model(4))
    assert "it is release 4, the device has release 5" in kept
    assert "release 5) is in use" in used
    assert (device.folder / BROUGHT).read_text().split() == [sha256_hex(model(5))]


def test_a_device_with_keys_takes_no_unsigned_model_from_a_package(device, tmp_path):
    key = make_key(tmp_path, "maker")
    device.folder.mkdir()
    device.slots.set_up(Settings(signers=signers(key)))
    with pytest.raises(SignatureRefused, match="is not signed"):
        device.upgrade(model(1))
    device.packed.with_name("model.tflite.sig").write_bytes(sign(model(1), key, "m"))
    device.upgrade(model(1))
    assert device.slots.answers().signer == "maker@example.org"


def test_damaged_slots_get_the_packages_model_whatever_its_release(device):
    device.upgrade(model(9))
    for path in (device.folder / "models").iterdir():
        path.write_bytes(b"rotten")
    device.upgrade(model(2))
    assert device.release() == 2
    for path in device.folder.glob("slots-*.json"):
        path.write_bytes(b"rotten")
    device.upgrade(model(3))
    assert device.release() == 3


def test_new_programs_are_tested_with_the_model_that_stays(device):
    device.upgrade(model(1))
    with pytest.raises(SelfTestFailed):
        device.upgrade(model(1), fails)
    assert device.release() == 1


def test_a_device_is_not_left_without_a_model_in_silence(device, capsys):
    device.packed.write_bytes(broken_model(1))
    assert main([str(device.packed), str(device.folder)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ser-edge: ")
    assert "golden vectors do not hold" in printed.err
    assert printed.err.count("\n") == 1


def test_as_a_package_calls_it(device, capsys):
    device.packed.write_bytes(model(1))
    assert main([str(device.packed), str(device.folder / "deep")]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("ser-edge: ")
    assert "is in use" in printed.out
    assert printed.err == ""
    assert Slots.at(device.folder / "deep").answers().tested.startswith("ai-edge-litert")
    assert main([str(device.packed), str(device.packed / "under a file")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
