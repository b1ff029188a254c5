"""The device's half of flashing: the model in use, the one before, and one atomic switch.

A folder with slots holds

- ``models/DIGEST.tflite`` and ``models/DIGEST.sig``: models by the SHA-256 of their bytes;
- ``incoming/``: what is being written, or was when the power went;
- ``slots-NNNNNNNN.json``: which models are ``current`` and ``previous``, with a checksum. The
  whole one with the highest number holds. A switch is one rename to the next number, so that
  nothing is ever replaced, on FAT neither;
- ``device.json`` and ``allowed_signers``: what the device is, and whose models it takes.

Whatever is cut at whatever moment, the record that holds names models that are whole.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ser_edge_runtime import __version__
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import (
    NoInterpreter,
    SelfTestFailed,
    SerEdgeError,
    SlotsFault,
    UnreadableModel,
)
from ser_edge_runtime.model_file import ModelFile, parse_model_file
from ser_edge_runtime.signatures import verify
from ser_edge_runtime.slot_files import Files, LocalFiles
from ser_edge_runtime.slot_records import (
    Settings,
    Slot,
    State,
    number_of,
    read_record,
    write_record,
)
from ser_edge_runtime.slot_rules import admit, release_of

SETTINGS, SIGNERS = "device.json", "allowed_signers"
_RECORDS_KEPT = 2
# A reader that finds a model gone looks again: a switch took it away meanwhile.
_LOOKS = 5

SelfTest = Callable[[ModelFile], str]
"""Runs a model's golden vectors; returns with what, raises SerEdgeError if they do not hold."""


class Slots:
    """The slots in one folder. Threads and processes may share a folder, not an object.

    Args:
        files: The folder.
        name: Names it in errors.
    """

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name

    @classmethod
    def at(cls, folder: str | os.PathLike[str]) -> Slots:
        """The slots in a folder of this machine."""
        return cls(LocalFiles(Path(folder)), os.fspath(folder))

    def state(self) -> State:
        """The record that holds.

        Raises:
            SlotsFault: There are records, and none is whole.
        """
        for _ in range(_LOOKS):
            names = [name for name in self._files.names() if number_of(name)]
            for name in reversed(names):
                found = read_record(self._readable(name), number_of(name))
                if found is not None:
                    return found
            if not names:
                return State()
        raise SlotsFault(self._name, "none of its records is whole", "flash it again")

    def settings(self) -> Settings:
        """What the device is; a folder that was never set up is a processor that takes any model.

        Raises:
            SlotsFault: The settings cannot be read, or the keys that they ask for are gone.
        """
        data = self._files.read(SETTINGS)
        if data is None:
            return Settings()
        try:
            values = json.loads(data)
            targets, signed = values["targets"], values["signed"]
            if type(targets) is not list or not targets or type(signed) is not bool:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SlotsFault(
                self._name, f"{SETTINGS} is damaged", "write it with: ser-edge slots setup"
            ) from None
        signers = self._files.read(SIGNERS) if signed else None
        if signed and not signers:
            raise SlotsFault(
                self._name, f"{SIGNERS} is gone", "write it with: ser-edge slots setup"
            )
        return Settings(tuple(map(str, targets)), signers)

    def set_up(self, settings: Settings) -> None:
        """Writes what the device is; the models stay."""
        signed = settings.signers is not None
        values = {"targets": list(settings.targets), "signed": signed}
        with self._files.alone():
            if settings.signers is not None:
                self._place(SIGNERS, settings.signers)
            self._place(SETTINGS, json.dumps(values).encode() + b"\n")

    def answers(self) -> Slot | None:
        """The slot whose model a load would get as far as its file tells; None if none is whole.

        Raises:
            SlotsFault: As :meth:`state`.
        """
        for _ in range(_LOOKS):
            state = self.state()
            for slot in (state.current, state.previous):
                if slot is not None and self._whole(slot.sha256) is not None:
                    return slot
            if self.state().number == state.number:
                break
        return None

    def leftovers(self) -> list[str]:
        """What a cut left in ``incoming``; the next install removes it."""
        return self._files.names("incoming")

    def install(
        self,
        data: bytes,
        signature: bytes | None,
        self_test: SelfTest | None,
        *,
        name: str = "the model",
        allow_downgrade: bool = False,
        dry_run: bool = False,
    ) -> State:
        """Makes a model the current one, or leaves everything as it is.

        Args:
            data: The model's file.
            signature: Its detached signature; needed where the device has keys.
            self_test: Runs its golden vectors; None where it cannot run here, which marks it
                untested: the first load tests it.
            name: Names the model in errors.
            allow_downgrade: Take one that is older than the current one.
            dry_run: Check and test, and write nothing.

        Returns:
            The state afterwards; that of before where the model is current already.

        Raises:
            SerEdgeError: It is refused or fails its self-test, or the folder cannot be written.
            OSError: The disk is full, gone or read-only.
        """
        if dry_run:
            return self._install(data, signature, self_test, name, allow_downgrade, write=False)
        with self._files.alone():
            self._tidy(self._state_to_follow())
            return self._install(data, signature, self_test, name, allow_downgrade, write=True)

    def rollback(self, self_test: SelfTest | None, *, dry_run: bool = False) -> State:
        """Makes the previous model the current one, and the current the previous.

        Raises:
            SlotsFault: There is none.
            SerEdgeError: It is damaged, no longer signed as it must be, or fails its self-test.
        """
        if dry_run:
            return self._rollback(self_test, write=False)
        with self._files.alone():
            return self._rollback(self_test, write=True)

    def current(self, self_test: SelfTest) -> bytes:
        """The file of the model in use, for whoever loads it.

        A model that could not be tested when it was written is tested now; if it fails, the
        previous one takes its place. A damaged file falls back to the previous model too.

        Raises:
            SlotsFault: There is no model, or none that is whole.
            SerEdgeError: The only model fails its self-test.
        """
        for _ in range(_LOOKS):
            state = self.state()
            if state.current is None:
                raise SlotsFault(
                    self._name, "no model is in its slots", "flash one: ser-edge flash"
                )
            fault: SerEdgeError | None = None
            for slot in (state.current, state.previous):
                if slot is None:
                    continue
                try:
                    return self._checked(state, slot, self_test)
                except SerEdgeError as reason:
                    fault = fault or reason
            assert fault is not None
            if self.state().number == state.number:
                raise fault
        raise SlotsFault(self._name, "its models change faster than they can be read", "try again")

    def _install(
        self,
        data: bytes,
        signature: bytes | None,
        self_test: SelfTest | None,
        name: str,
        allow_downgrade: bool,
        *,
        write: bool,
    ) -> State:
        state, settings = self._state_to_follow(), self.settings()
        newest = 0 if allow_downgrade or state.current is None else state.current.release
        # The signature first: nothing of a file that nobody trusts is believed.
        signer = ""
        if settings.signers is not None:
            signer = verify(data, signature, settings.signers, name)
        model = admit(data, name, settings.targets, newest)
        sha256 = sha256_hex(data)
        before = state.current
        same = before is not None and before.sha256 == sha256
        there = self._whole(sha256) is not None
        if before is not None and same and there and (before.tested or self_test is None):
            return state
        if write:
            if not there:
                self._place(f"models/{sha256}.tflite", data)
            if signature:
                self._place(f"models/{sha256}.sig", signature)
        tested = "" if self_test is None else self_test(model)
        slot = Slot(sha256, model.metadata.name, release_of(model), signer, tested)
        previous = state.previous if same else state.current
        return self._switch(state, slot, previous, "", write=write)

    def _rollback(self, self_test: SelfTest | None, *, write: bool) -> State:
        state = self.state()
        if state.current is None or state.previous is None:
            raise SlotsFault(self._name, "there is no previous model to go back to")
        data = self._whole(state.previous.sha256)
        if data is None:
            raise SlotsFault(self._name, "the previous model is damaged", "flash it again")
        signer = self._signer(state.previous, data)
        tested = state.previous.tested
        if self_test is not None:
            tested = self_test(parse_model_file(data, self._name))
        slot = replace(state.previous, signer=signer, tested=tested)
        return self._switch(state, slot, state.current, "", write=write)

    def _switch(
        self, state: State, slot: Slot, previous: Slot | None, failed: str, *, write: bool
    ) -> State:
        after = State(state.number + 1, slot, previous, failed)
        if write:
            self._place(f"slots-{after.number:08}.json", write_record(after))
            self._tidy(after)
        return after

    def _checked(self, state: State, slot: Slot, self_test: SelfTest) -> bytes:
        data = self._whole(slot.sha256)
        if data is None:
            raise UnreadableModel(self._name, "the model in use is damaged", "flash it again")
        # A card may have been looked at in another machine than the one that it is for.
        if slot.tested.endswith(f", {_machine()}"):
            return data
        try:
            signer = self._signer(slot, data)
            tested = self_test(admit(data, self._name, self.settings().targets))
        except NoInterpreter:
            return data  # this machine only looks at it
        except SerEdgeError:
            if slot == state.current and state.previous is not None:
                self._settle(state, state.previous, None, slot.sha256)
            raise
        if slot == state.current:
            passed = replace(slot, signer=signer, tested=tested)
            self._settle(state, passed, state.previous, state.failed)
        return data

    def _settle(self, state: State, slot: Slot, previous: Slot | None, failed: str) -> None:
        """Writes what a first load found; where nothing can be written, the next one tests too."""
        with suppress(OSError, SerEdgeError), self._files.alone():
            if self.state().number == state.number:
                self._switch(state, slot, previous, failed, write=True)

    def _signer(self, slot: Slot, data: bytes) -> str:
        settings = self.settings()
        if settings.signers is None:
            return slot.signer
        signature = self._files.read(f"models/{slot.sha256}.sig")
        return verify(data, signature, settings.signers, self._name)

    def _state_to_follow(self) -> State:
        """The state; where no record is whole, an empty one that the next record can follow."""
        try:
            return self.state()
        except SlotsFault:
            return State(max(map(number_of, self._files.names())))

    def _whole(self, sha256: str) -> bytes | None:
        data = self._readable(f"models/{sha256}.tflite")
        return data if data is not None and sha256_hex(data) == sha256 else None

    def _readable(self, name: str) -> bytes | None:
        """A file's content; None where there is none, or where its medium has lost it."""
        try:
            return self._files.read(name)
        except OSError as fault:
            if fault.errno != errno.EIO:
                raise
            return None

    def _place(self, name: str, data: bytes) -> None:
        """Writes a file beside, reads it back, and only then gives it its name."""
        beside = f"incoming/{name.rpartition('/')[2]}"
        self._files.write(beside, data)
        if self._files.read(beside) != data:
            self._files.remove(beside)
            raise SlotsFault(
                self._name, "what was written reads back as something else",
                "the card or disk may be failing: try another",
            )  # fmt: skip
        self._files.rename(beside, name)

    def _tidy(self, state: State) -> None:
        """Removes what no slot needs; what cannot be removed does no harm."""
        used = {slot.sha256 for slot in (state.current, state.previous) if slot is not None}
        records = [name for name in self._files.names() if number_of(name)]
        stale = [f"incoming/{name}" for name in self._files.names("incoming")]
        stale += records[: -_RECORDS_KEPT if len(records) > _RECORDS_KEPT else 0]
        for name in self._files.names("models"):
            if name.partition(".")[0] not in used:
                stale.append(f"models/{name}")
        for name in stale:
            with suppress(OSError):
                self._files.remove(name)


def self_test_with(interpreter: str | None = None) -> SelfTest:
    """A self-test on this machine.

    Args:
        interpreter: The package to use; None takes the first that is installed.
    """

    def test(model: ModelFile) -> str:
        from ser_edge_runtime.classifier import Classifier
        from ser_edge_runtime.golden import verify_golden

        classifier = Classifier(model, interpreter=interpreter)
        report = verify_golden(model, classifier)
        if not report.passed:
            raise SelfTestFailed(model.name, report.probability_difference, report.tolerance)
        return f"{classifier.backend}, ser-edge {__version__}, {_machine()}"

    return test


def _machine() -> str:
    import platform

    return platform.machine()


def has_slots(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder with slots."""
    place = Path(path)
    return place.is_dir() and newest_record(place) != place


def current_bytes(folder: str | os.PathLike[str]) -> bytes:
    """The file of the model that a folder's slots have in use; see :meth:`Slots.current`."""
    return Slots.at(folder).current(self_test_with())


def newest_record(folder: str | os.PathLike[str]) -> Path:
    """The file that another follows at each switch: what a running service looks at.

    Args:
        folder: A folder with slots; one without any stands for itself.
    """
    place = Path(folder)
    names = [name for name in os.listdir(place) if number_of(name)]  # noqa: PTH208 - names alone
    return place / max(names) if names else place
