"""The model of a running service: loaded once, and again when its file changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from stat import S_ISDIR
from threading import Lock

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.delegates import Delegate
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import SelfTestFailed, SerEdgeError
from ser_edge_runtime.golden import verify_golden
from ser_edge_runtime.model_file import (
    ModelFile,
    find_model,
    parse_model_file,
    read_model_bytes,
)
from ser_edge_runtime.slots import newest_record

_Stamp = tuple[int, int, int, int]


class LoadedModel:
    """One state of the model's file, with a classifier for each worker.

    Args:
        model_file: The model.
        sha256: Digest of its whole file, in hexadecimal.
        classifiers: As many as threads classify at a time.

    Attributes:
        model_file: As given.
        sha256: As given.
        backend: The interpreter's package.
    """

    def __init__(self, model_file: ModelFile, sha256: str, classifiers: list[Classifier]) -> None:
        self.model_file = model_file
        self.sha256 = sha256
        self.backend = classifiers[0].backend
        self._idle: SimpleQueue[Classifier] = SimpleQueue()
        for classifier in classifiers:
            self._idle.put(classifier)

    @contextmanager
    def classifier(self) -> Iterator[Classifier]:
        """A classifier that nobody else uses meanwhile; waits for one."""
        classifier = self._idle.get()
        try:
            yield classifier
        finally:
            self._idle.put(classifier)


class ServedModel:
    """Hands out classifiers of the newest model; threads may share it.

    A model is replaced between two recordings: what is being classified ends with
    the model that it began with. A file that cannot be loaded, or whose golden
    vectors do not hold here, leaves the model before it in use.

    Args:
        path: A model file, or a folder with slots: the model that is in use there; None
            takes the one that comes with the package.
        workers: How many classifiers there are to hand out.
        threads: As in :class:`~ser_edge_runtime.classifier.Classifier`.
        interpreter: As there.
        delegate: As there.

    Attributes:
        path: The model's file.
        loaded: What is in use now.
        reloads: How often another model was taken up.
        failures: How often one could not be.
        on_change: Called with what was taken up, or with the fault, in the thread that
            found the file changed.

    Raises:
        ModelFileError: The file cannot be read, breaks a rule of the format, or fails
            its self-test.
        InterpreterError: No interpreter can be used, or it refuses the model.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        workers: int = 1,
        threads: int = 1,
        interpreter: str | None = None,
        delegate: str | Delegate | None = None,
    ) -> None:
        self.path = find_model(path)
        self._workers = workers
        self._threads = threads
        self._interpreter = interpreter
        self._delegate = delegate
        self._lock = Lock()
        self.reloads = 0
        self.failures = 0
        self.on_change: Callable[[LoadedModel | SerEdgeError], object] = lambda _: None
        self._stamp = _stamp(self.path)
        self.loaded = self._load(read_model_bytes(self.path))

    @contextmanager
    def classifier(self) -> Iterator[tuple[Classifier, LoadedModel]]:
        """A classifier of the model as its file is now, and that model."""
        self.refresh()
        loaded = self.loaded
        with loaded.classifier() as classifier:
            yield classifier, loaded

    def refresh(self) -> None:
        """Takes up the file if it is another than at the last look; a fault goes to on_change.

        A look costs one ``stat``. While one thread loads, the others go on with
        the model that there is. A file that is gone is no change: it may be on
        its way.
        """
        if _stamp(self.path) in (None, self._stamp) or not self._lock.acquire(blocking=False):
            return
        try:
            self._reload()
        except SerEdgeError as fault:
            self.on_change(fault)
        finally:
            self._lock.release()

    def reload(self) -> bool:
        """Reads the file again, changed or not; True if it holds another model.

        Raises:
            SerEdgeError: As the class; the model before stays in use.
        """
        with self._lock:
            return self._reload()

    def _reload(self) -> bool:
        # Before the file is read: what is written meanwhile is found at the next look.
        self._stamp = _stamp(self.path)
        try:
            data = read_model_bytes(self.path)
            if sha256_hex(data) == self.loaded.sha256:
                return False
            loaded = self._load(data)
        except SerEdgeError:
            self.failures += 1
            raise
        self.loaded = loaded
        self.reloads += 1
        self.on_change(loaded)
        return True

    def _load(self, data: bytes) -> LoadedModel:
        model_file = parse_model_file(data, self.path)
        classifiers = [
            Classifier(
                model_file,
                threads=self._threads,
                interpreter=self._interpreter,
                delegate=self._delegate,
            )
            for _ in range(self._workers)
        ]
        report = verify_golden(model_file, classifiers[0])
        if not report.passed:
            raise SelfTestFailed(self.path, report.probability_difference, report.tolerance)
        return LoadedModel(model_file, sha256_hex(data), classifiers)


def _stamp(path: str) -> _Stamp | None:
    """What changes with a file's content; None where there is no file."""
    try:
        found = Path(path).stat()
        if S_ISDIR(found.st_mode):
            found = newest_record(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
