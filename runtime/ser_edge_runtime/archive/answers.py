"""What is done with one recording of an archive, wherever that happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_edge_runtime.errors import NoSpeech, SerEdgeError
from ser_edge_runtime.records import record

if TYPE_CHECKING:
    from ser_edge_runtime.classifier import Classifier, Result
    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.voice import Voice


@record()
class Settings:
    """How every recording of an archive is classified. Can be pickled, so it travels.

    Attributes:
        name: What the model file is called; errors name it.
        model: Its bytes. They travel too: a file that is replaced in the middle of a
            job changes no answer of that job.
        threads: Threads of each interpreter.
        interpreter: As in :class:`~ser_edge_runtime.interpreter.Interpreter`.
        delegate: As there.
        segment: Seconds of a window; None classifies recordings as a whole.
        step: Seconds from one window to the next; None takes ``segment``.
        gate: Whether windows without speech are left out.
        voice: Whose recordings they all are, if that was enrolled.
    """

    name: str
    model: bytes
    threads: int = 1
    interpreter: str | None = None
    delegate: str | Delegate | None = None
    segment: float | None = None
    step: float | None = None
    gate: bool = True
    voice: Voice | None = None

    def classifier(self) -> Classifier:
        """A classifier of its own for one thread, checked with the lengths of the windows.

        Raises:
            ModelFileError: The bytes break a rule of the format.
            InterpreterError: No interpreter can be used, or it refuses the model.
            WindowError: No window has such a length.
            OtherModel: The voice was enrolled with another model.
        """
        from ser_edge_runtime.classifier import Classifier
        from ser_edge_runtime.model_file import parse_model_file

        classifier = Classifier(
            parse_model_file(self.model, self.name),
            threads=self.threads,
            interpreter=self.interpreter,
            delegate=self.delegate,
        )
        if self.voice is not None:
            classifier = classifier.for_speaker(self.voice)
        if self.segment is not None:
            from ser_edge_runtime.windows import frame_lengths

            # Known now, not by a fault of every recording.
            frame_lengths(classifier.front_end.spec, *self._window(self.segment))
        return classifier

    def answer(self, classifier: Classifier, path: str) -> Answer:
        """Classifies one recording; whatever is wrong with it is in the answer, never raised."""
        try:
            if self.segment is None:
                return Answer(path, (classifier.classify_file(path),))
            from ser_edge_runtime.audio import AudioFile
            from ser_edge_runtime.classifier import GATE

            gate = GATE if self.gate else None
            with AudioFile(path) as sound:
                lengths = self._window(self.segment)
                windows = tuple(classifier.windows_of(sound, sound.sample_rate, *lengths, gate))
            return Answer(path, windows, None if windows else str(NoSpeech(path)))
        except SerEdgeError as fault:
            return Answer(path, (), str(fault))
        except MemoryError:
            return Answer(path, (), f"{path}: too long for this machine's memory; cut it")
        except Exception as fault:
            # One recording that meets an error of ours must not end the work on a million.
            return Answer(path, (), f"{path}: internal error: {type(fault).__name__}: {fault}")

    def _window(self, segment: float) -> tuple[float, float]:
        return segment, segment if self.step is None else self.step


@record()
class Answer:
    """What became of one recording.

    Attributes:
        path: The recording, as it was named.
        results: One result, or one for each window; empty with a fault.
        fault: Why there is no result, in one line; None if all went well.
    """

    path: str
    results: tuple[Result, ...]
    fault: str | None = None
