"""A thread with a short queue in front of it, for work that runs beside the decode loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Cancelled(Exception):
    """Ends the work in the middle; nobody sees it."""


class Worker(Generic[T]):
    """Hands items to a function that runs in a thread of its own, at most `queued` ahead of it.

    An exception of the function is raised again by the next `put`, or by `finish`.
    """

    def __init__(self, name: str, queued: int, work: Callable[[Iterator[T]], None]) -> None:
        """`work` is given the items as they come; it returns when they are over."""
        self._queue: queue.Queue[T | None] = queue.Queue(queued)
        self._work = work
        self._failure: BaseException | None = None
        self._cancelled = False
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, item: T) -> None:
        """Queue an item; waits while the queue is full."""
        self._put(item)
        self._raise_failure()

    def finish(self) -> None:
        """Wait until all items are worked off."""
        self._put(None)
        self._ended.wait()
        self._raise_failure()

    def cancel(self) -> None:
        """Drop what waits and end the thread."""
        self._cancelled = True
        self._put(None)
        self._ended.wait()

    def _put(self, item: T | None) -> None:
        while not self._ended.is_set():  # a thread that failed takes nothing any more
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work(self._items())
        except _Cancelled:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            self._ended.set()  # not join(): one that Ctrl-C interrupts takes the thread for ended

    def _items(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            if self._cancelled:
                raise _Cancelled
            yield item
