"""The encoder's own thread: pictures go in one by one, vectors come out when the film is over."""

from __future__ import annotations

import queue
import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.base import ImageEncoder


class Picture(Protocol):
    """A frame that can still be turned into pixels."""

    def picture_rgb(self, width: int, height: int, fit: str) -> NDArray[np.uint8]:
        """The frame, upright, as RGB of exactly that size: (height, width, 3)."""


class EncodingThread:
    """Scales and encodes frames beside the decode loop.

    At most `QUEUED` frames wait here, and the small pictures of one batch, of the size that the
    encoder asks for; vectors are kept as float16.
    An exception of the encoder is raised again by the next `put`, or by `finish`.
    """

    QUEUED = 4

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self._queue: queue.Queue[tuple[float, Picture] | None] = queue.Queue(self.QUEUED)
        self._vectors: dict[float, NDArray[np.float16]] = {}
        self._failure: BaseException | None = None
        self._cancelled = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def put(self, time_s: float, frame: Picture) -> None:
        """Queue a frame; waits while `QUEUED` frames are ahead of it."""
        self._put((time_s, frame))
        self._raise_failure()

    def finish(self) -> dict[float, NDArray[np.float16]]:
        """Wait for the rest; the vector (dim,) of each frame, by its time."""
        self._put(None)
        self._ended.wait()
        self._raise_failure()
        return self._vectors

    def cancel(self) -> None:
        """Drop what waits and end the thread."""
        self._cancelled = True
        self._put(None)
        self._ended.wait()

    def _put(self, item: tuple[float, Picture] | None) -> None:
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
            self._encoder.load()
            self._encode_all()
        except BaseException as error:
            self._failure = error
        finally:
            self._ended.set()  # not join(): one that Ctrl-C interrupts takes the thread for ended

    def _encode_all(self) -> None:
        times_s: list[float] = []
        pictures: list[NDArray[np.uint8]] = []
        while (item := self._queue.get()) is not None:
            if self._cancelled:
                continue
            times_s.append(item[0])
            pictures.append(item[1].picture_rgb(*self._encoder.picture_size, self._encoder.fit))
            if len(pictures) >= self._encoder.batch_size:
                self._encode(times_s, pictures)
        if pictures and not self._cancelled:
            self._encode(times_s, pictures)

    def _encode(self, times_s: list[float], pictures: list[NDArray[np.uint8]]) -> None:
        vectors = self._encoder.encode(np.stack(pictures)).astype(np.float16)
        self._vectors.update(zip(times_s, vectors, strict=True))
        times_s.clear()
        pictures.clear()
