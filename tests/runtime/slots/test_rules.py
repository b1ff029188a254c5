"""What a device refuses, rule by rule."""

from __future__ import annotations

import json
import subprocess

import pytest

from ser_edge_runtime import stored_zip
from ser_edge_runtime.errors import (
    MetadataInvalid,
    ModelFileError,
    ModelRefused,
    SignatureRefused,
    SlotsFault,
)
from ser_edge_runtime.model_file import MEMBERS, parse_model_file
from ser_edge_runtime.signatures import NAMESPACE, sign, verify
from ser_edge_runtime.slot_records import Settings
from ser_edge_runtime.slot_rules import admit, release_of, version_of
from ser_edge_runtime.slots import Slots
from tests.runtime.slots.models import make_key, model, signers

PLAIN = model()


def with_metadata(change) -> bytes:
    """A model file that is whole but for what ``change`` does to its metadata."""
    found = parse_model_file(PLAIN, "plain")
    _, members = stored_zip.parse(
        PLAIN, most_members=3, largest_zip=len(PLAIN), largest_member=len(PLAIN)
    )
    values = json.loads(members[MEMBERS[0]])
    change(values)
    members[MEMBERS[0]] = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    return found.flatbuffer + stored_zip.build(members, len(found.flatbuffer))


def test_a_model_for_the_device_is_admitted():
    assert admit(PLAIN, "m", ("cpu",)).metadata.name == "toy"
    assert admit(model(target="edgetpu"), "m", ("cpu", "edgetpu")).metadata.target == "edgetpu"


def test_one_for_another_target_is_not():
    with pytest.raises(
        ModelRefused, match=r"^m: it is made for web, the device is cpu and gpu; .*"
    ):
        admit(model(target="web"), "m", ("cpu", "gpu"))


@pytest.mark.parametrize(("needed", "taken"), [
    ("0.2.0", True), ("0.1.9", True), ("0.2", True), ("0.2.0.1", False), ("0.10.0", False),
    ("1", False), ("soon", False), ("", False),
])  # fmt: skip
def test_one_that_needs_a_newer_runtime_is_not(needed, taken):
    data = model(provenance={"needs_runtime": needed})
    if taken:
        admit(data, "m", ("cpu",), runtime="0.2.0")
    else:
        with pytest.raises(
            ModelRefused, match=r"needs ser-edge .*, the device has 0\.2\.0; update"
        ):
            admit(data, "m", ("cpu",), runtime="0.2.0")


def test_one_of_a_newer_format_that_says_what_it_needs_is_told_so():
    def change(values):
        values["provenance"] = {"needs_runtime": "9.0"}
        values["something_new"] = 1

    with pytest.raises(ModelRefused, match=r"needs ser-edge 9\.0"):
        admit(with_metadata(change), "m", ("cpu",))


def test_one_whose_front_end_the_runtime_lacks_is_not():
    def change(values):
        values["front_end"]["features"].append({"kind": "wavelet"})

    with pytest.raises(ModelRefused, match="front end computes 'wavelet', which the runtime here"):
        admit(with_metadata(change), "m", ("cpu",))


@pytest.mark.parametrize(
    "features",
    [3, {}, [], [3], [None], [{}], [{"kind": []}], [{"kind": {}}], [{"kind": 7}]],
    ids=str,
)
def test_metadata_that_are_broken_are_said_to_be(features):
    def change(values):
        values["front_end"]["features"] = features

    with pytest.raises(MetadataInvalid):
        admit(with_metadata(change), "m", ("cpu",))


@pytest.mark.parametrize(("release", "newest", "taken"), [
    (3, 3, True), (4, 3, True), (2, 3, False), (0, 1, False), (0, 0, True),
])  # fmt: skip
def test_one_that_is_older_than_the_current_is_not(release, newest, taken):
    if taken:
        assert release_of(admit(model(release), "m", ("cpu",), newest)) == release
    else:
        with pytest.raises(ModelRefused, match="--allow-downgrade"):
            admit(model(release), "m", ("cpu",), newest)


@pytest.mark.parametrize("value", ["7", -1, 0, True, 1.5, None, [7]])
def test_what_is_no_release_counts_as_none(value):
    assert release_of(parse_model_file(model(provenance={"release": value}), "m")) == 0


@pytest.mark.parametrize("data", [b"", b"x" * 100, PLAIN[:-1], PLAIN[1:]], ids=len)
def test_what_is_no_model_is_not(data):
    with pytest.raises(ModelFileError):
        admit(data, "m", ("cpu",))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1", (1,)), ("0.10.2", (0, 10, 2)), ("", None), ("1.", None), ("v1", None),
     ("1.2.3.4.5", None), ("1000000", None), ("١", None)],
)  # fmt: skip
def test_versions(text, numbers):
    assert version_of(text) == numbers


# signatures


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("maker", "other", "stranger")}


def test_who_signed_is_told(keys):
    trusted = signers(keys["other"], keys["maker"])
    signature = sign(PLAIN, keys["maker"], "m")
    assert verify(PLAIN, signature, trusted, "m") == "maker@example.org"


def test_the_signature_is_openssh_s_own(keys, tmp_path):

    (tmp_path / "m").write_bytes(PLAIN)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", keys["maker"], "-n", NAMESPACE, tmp_path / "m"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert (tmp_path / "m.sig").read_bytes() == sign(PLAIN, keys["maker"], "m")


@pytest.mark.parametrize("case", ["changed", "cut", "none", "empty", "garbage", "stranger",
                                  "another", "purpose"])  # fmt: skip
def test_every_other_signature_is_refused(keys, case, monkeypatch):
    trusted = signers(keys["maker"])
    if case == "purpose":
        monkeypatch.setattr("ser_edge_runtime.signatures.NAMESPACE", "git")
    key = keys["stranger" if case == "stranger" else "maker"]
    signature = sign(model(2) if case == "another" else PLAIN, key, "m")
    monkeypatch.undo()
    data = {"changed": PLAIN[:-1] + b"x", "cut": PLAIN[:-1]}.get(case, PLAIN)
    signature = {"none": None, "empty": b"", "garbage": b"x" * 300}.get(case, signature)
    with pytest.raises(SignatureRefused, match=r"^m: "):
        verify(data, signature, trusted, "m")


def test_a_key_that_cannot_sign_is_one_line(tmp_path):
    with pytest.raises(SignatureRefused, match=r"^m: cannot be signed with .*none.*ssh-keygen -t"):
        sign(PLAIN, tmp_path / "none", "m")


def test_without_ssh_keygen_nothing_signed_is_taken(keys, monkeypatch, tmp_path):
    signature = sign(PLAIN, keys["maker"], "m")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SignatureRefused, match="signatures need ssh-keygen"):
        verify(PLAIN, signature, signers(keys["maker"]), "m")


def held(_):
    return "an interpreter"


def test_a_device_with_a_key_takes_nothing_unsigned(keys, tmp_path):
    slots = Slots.at(tmp_path)
    slots.install(PLAIN, None, held)
    slots.set_up(Settings(("cpu",), signers(keys["maker"])))
    before = slots.state()
    for signature in (None, sign(model(2), keys["stranger"], "m")):
        with pytest.raises(SignatureRefused):
            slots.install(model(2), signature, held)
    assert slots.state() == before
    state = slots.install(model(2), sign(model(2), keys["maker"], "m"), held)
    assert state.current.signer == "maker@example.org"
    # The one before was never signed: nothing to go back to, for this device.
    with pytest.raises(SignatureRefused, match="not signed"):
        slots.rollback(held)


def test_an_unsigned_model_on_a_card_is_not_loaded(keys, tmp_path):
    slots = Slots.at(tmp_path)
    slots.install(PLAIN, None, None)
    slots.set_up(Settings(("cpu",), signers(keys["maker"])))
    with pytest.raises(SignatureRefused):
        slots.current(held)


def test_a_device_that_lost_its_keys_takes_nothing(keys, tmp_path):
    slots = Slots.at(tmp_path)
    slots.set_up(Settings(("cpu",), signers(keys["maker"])))
    (tmp_path / "allowed_signers").unlink()
    with pytest.raises(SlotsFault, match="allowed_signers is gone"):
        slots.install(PLAIN, sign(PLAIN, keys["maker"], "m"), held)
