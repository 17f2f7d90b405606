"""An iterator that runs ahead of its consumer in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """What the thread puts last: how its iterator ended."""

    error: BaseException | None


def prefetched(source: Iterator[T], ahead: int) -> Generator[T, None, None]:
    """The items of `source`, made in another thread, at most `ahead` of them waiting.

    An exception of `source` is raised where its next item would have come. Close the generator
    (``contextlib.closing``) before what `source` reads from: that ends the thread.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(ahead)
    stopped = threading.Event()

    def produce() -> None:
        try:
            for item in source:
                waiting.put(item)
                if stopped.is_set():
                    break
            waiting.put(_End(None))
        except BaseException as error:
            waiting.put(_End(error))

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        while thread.is_alive():  # it may be waiting for room
            try:
                waiting.get(timeout=0.01)
            except queue.Empty:
                continue
