"""Every error that a user of the runtime can meet.

Each class is one fault. Its message is a single line that names the file, what
is wrong with it and what to do next; the command line prints it as it is. The
other packages derive their own errors from :class:`SerEdgeError`.
"""

from __future__ import annotations

from os import PathLike, fspath

PathOrName = str | PathLike[str]


class SerEdgeError(Exception):
    """Base of all errors that are a user's to mend.

    Attributes:
        exit_code: What the command line returns for it: 1 for an input that
            could not be used or a gate that failed, 2 for wrong options.
    """

    exit_code = 1


class FileError(SerEdgeError):
    """A fault of one file: ``path: fault; next step``.

    Args:
        path: The file, or the name under which its bytes came (``-``).
        fault: What is wrong with it, without a full stop.
        hint: What to do next, without a full stop.
    """

    def __init__(self, path: PathOrName, fault: str, hint: str) -> None:
        self.path = fspath(path)
        self.fault = fault
        self.hint = hint
        super().__init__(f"{_printable(self.path)}: {fault}; {hint}")


def _printable(path: str) -> str:
    """The path as it is, or quoted where a line break or control code in it would garble a line."""
    return path if path.isprintable() else ascii(path)


class SpecError(SerEdgeError):
    """A front-end specification that contradicts itself or cannot be read."""


class MissingExtra(SerEdgeError):
    """A command needs packages that are not installed.

    Args:
        what: The capability that is missing, as "training".
        extra: The extra of ser-edge that brings it, as "train".
    """

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed; run: pip install 'ser-edge[{extra}]'"
        )


# Audio: what load_audio, decode_wav and the resampler refuse.


class MissingFile(FileError):
    """No file has this name."""


class UnreadableFile(FileError):
    """The file is there, but the system does not let it be read, or it is a folder."""


class NotAudio(FileError):
    """The bytes are no audio format that is read here, or contradict themselves."""


class EmptyAudio(FileError):
    """The file holds not a single sample."""


class TruncatedAudio(FileError):
    """The file ends before the audio that it declares does."""


class NonFiniteAudio(FileError):
    """Samples are NaN, infinite or far beyond any audio scale."""


class SilentAudio(FileError):
    """No sample of the recording is loud enough to be sound.

    Args:
        path: Its name.
    """

    def __init__(self, path: PathOrName) -> None:
        super().__init__(
            path,
            "holds no sound: its loudest sample is more than 60 dB below full scale",
            "record it again; what is wrong with it says: ser-edge doctor FILE",
        )


class NoSpeech(FileError):
    """No window of the recording passes the speech gate.

    Args:
        path: Its name.
    """

    def __init__(self, path: PathOrName) -> None:
        super().__init__(
            path, "none of its windows holds speech", "to classify them all the same: --no-gate"
        )


class MissingDecoder(FileError):
    """The format needs soundfile and libsndfile, which are not there."""


class SampleRateError(SerEdgeError, ValueError):
    """A sample rate that no recording has.

    Args:
        rate: The rate given, in Hz.
        lowest: The lowest that is taken, in Hz.
        highest: The highest that is taken, in Hz.
    """

    def __init__(self, rate: object, lowest: int, highest: int) -> None:
        super().__init__(
            f"a sample rate of {rate} Hz cannot be used; give whole Hz from {lowest} to {highest}"
        )


class SampleRateChanged(SerEdgeError, ValueError):
    """A stream that began at one sample rate goes on at another.

    Args:
        before: The rate it began at, in Hz.
        now: The rate of the samples that were refused, in Hz.
    """

    def __init__(self, before: int, now: int) -> None:
        super().__init__(
            f"the stream began at {before} Hz and cannot go on at {now} Hz; "
            "end it with flush() and begin another"
        )


class NoMicrophone(SerEdgeError):
    """Sound cannot be recorded: no such device, no access to it, or it is gone.

    Args:
        fault: What is wrong, without a full stop.
        hint: What to do next, without a full stop.
    """

    def __init__(
        self, fault: str, hint: str = "list the devices with: ser-edge listen --list-devices"
    ) -> None:
        super().__init__(f"{fault}; {hint}")


# --- model files: each rule of the format is a class, with a test of the same name ---


class ModelFileError(FileError):
    """A file that cannot be used as a model."""

    default_hint = "it was damaged or changed: copy it again from where it came from"

    def __init__(self, path: PathOrName, fault: str, hint: str | None = None) -> None:
        super().__init__(path, fault, hint or self.default_hint)


class UnreadableModel(ModelFileError):
    """The file is missing, is a folder, or may not be read."""

    default_hint = "name the .tflite file of a model"


class ModelTooLarge(ModelFileError):
    """The file, its zip or a member of it exceeds the format's limit."""

    default_hint = "it is not a model that ser-edge wrote; see: ser-edge convert --help"


class NotAModel(ModelFileError):
    """The bytes are not a TFLite flatbuffer at all."""

    default_hint = "name a .tflite file that ser-edge convert wrote"


class NoMetadata(ModelFileError):
    """A TFLite model without ser-edge's metadata at its end."""

    default_hint = "convert its network with: ser-edge convert, or add them with: ser-edge pack"

    def __init__(self, path: PathOrName) -> None:
        super().__init__(path, "a plain .tflite without ser-edge metadata, or one cut short")


class ZipNotCanonical(ModelFileError):
    """The appended zip differs from the one zip that its members can have."""


class UnexpectedMember(ModelFileError):
    """The appended zip holds other members than the format's, or in another order."""


class MetadataInvalid(ModelFileError):
    """``ser_edge.json`` is not JSON, or a field is unknown, missing or ill-typed."""


class UnknownFormatVersion(ModelFileError):
    """The file was written in a later version of the format."""

    default_hint = "update with: pip install -U ser-edge"


class LabelsMismatch(ModelFileError):
    """``labels.txt`` says other labels than ``ser_edge.json``."""


class FlatbufferDigestMismatch(ModelFileError):
    """The TFLite bytes are not the ones that were packed."""


class SpecTensorMismatch(ModelFileError):
    """Front end, normaliser or labels do not fit the graph's tensors."""

    default_hint = "convert the model again from its training run with: ser-edge convert RUN"


class GoldenInvalid(ModelFileError):
    """``golden.npz`` cannot be read or does not fit the model."""


class SelfTestFailed(ModelFileError):
    """The model computes something else here than where it was made.

    Args:
        path: The model file.
        difference: How far its probabilities are from the golden ones.
        tolerance: How far they may be.
    """

    default_hint = "see: ser-edge doctor --model FILE"

    def __init__(self, path: PathOrName, difference: float, tolerance: float) -> None:
        super().__init__(
            path,
            "its golden vectors do not hold here "
            f"(probabilities off by {difference:.1e}, allowed: {tolerance:.1e})",
        )


class NotABenchmark(FileError):
    """A file that ``ser-edge bench --json`` has not written."""

    def __init__(self, path: PathOrName) -> None:
        super().__init__(
            path, "no measurement of ser-edge bench", "make one with: ser-edge bench --json"
        )


# --- interpreters ---


class InterpreterError(SerEdgeError):
    """A TFLite interpreter could not be had, or did not run the model."""


class UnknownInterpreter(InterpreterError):
    """An interpreter was named that is none."""

    exit_code = 2


class NoInterpreter(InterpreterError):
    """No TFLite interpreter that works is installed, or not the one that was named."""


class ModelRejected(InterpreterError):
    """The interpreter refused the graph."""


class UnsupportedTensors(InterpreterError):
    """The graph's inputs and outputs are not one batch of one of a type that we feed."""


class DelegateFailed(InterpreterError):
    """A delegate could not be loaded or did not take the graph, or not all of it.

    Args:
        library: The delegate's library.
        fault: What is wrong with it, without a full stop.
        hint: What to do next, without a full stop.
    """

    def __init__(self, library: str, fault: str, hint: str) -> None:
        self.library = library
        self.fault = fault
        super().__init__(f"{_printable(library)}: {fault}; {hint}")


class InvokeFailed(InterpreterError):
    """The interpreter stopped while it ran the graph."""


class InvalidThreads(InterpreterError):
    """A number of threads that no interpreter takes."""

    exit_code = 2


class WindowError(SerEdgeError, ValueError):
    """Windows of a length or a step that cannot be cut."""

    exit_code = 2


# --- the service ---


class RecordingTooLong(FileError):
    """A recording lasts longer than is taken.

    Args:
        path: Its name.
        seconds: How long it is, or says that it is.
        most_seconds: How long it may be.
    """

    def __init__(self, path: PathOrName, seconds: float, most_seconds: float) -> None:
        # A FLAC from a pipe does not know its length, and libsndfile then says 2**63 - 1 frames.
        known = seconds < 1e9
        length = f"lasts {seconds:.1f} s" if known else "does not say how long it is"
        super().__init__(
            path,
            f"{length}; at most {most_seconds:g} s are taken",
            "send it in pieces, or raise --max-seconds" if known else "send it as WAV",
        )


class CannotListen(SerEdgeError):
    """An address or a socket's path that cannot be had.

    Args:
        where: The address or the path.
        fault: Why not.
        hint: What to do next.
    """

    def __init__(self, where: str, fault: str, hint: str) -> None:
        super().__init__(f"cannot listen on {_printable(where)} ({fault}); {hint}")


# --- slots: what a device refuses ---


class ModelRefused(FileError):
    """A sound model that is not for this device."""


class SignatureRefused(FileError):
    """A model without a signature, or with one that a device does not trust."""


class SlotsFault(FileError):
    """A folder with slots that cannot be used, or has nothing to go back to."""

    def __init__(
        self,
        path: PathOrName,
        fault: str,
        hint: str = "see what it holds with: ser-edge status FOLDER",
    ) -> None:
        super().__init__(path, fault, hint)
