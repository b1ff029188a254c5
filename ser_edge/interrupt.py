"""Ctrl-C as a wish to stop, kept until work that must not be torn is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Stop:
    """While it is open, SIGINT and SIGTERM end :meth:`until` instead of the program.

    What is done with an item is finished first; waiting for the next one is not. No item is None.
    A second signal interrupts whatever goes on. For the main thread.
    """

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *fault: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def until(self, items: Iterable[T]) -> Iterator[T]:
        """The items until they end or a signal comes."""
        source = iter(items)
        while True:
            try:
                item = self.wait(source.__next__)
            except StopIteration:
                return
            if item is None:
                return
            yield item

    def wait(self, function: Callable[[], T]) -> T | None:
        """What ``function`` returns, which may wait for ever; None after a signal."""
        if self.asked:
            return None
        try:
            self._waiting = True
            try:
                return function()
            finally:
                self._waiting = False
        except KeyboardInterrupt:
            return None

    def _take(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or self._waiting:
            raise KeyboardInterrupt
