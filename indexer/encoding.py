"""The encoder's own thread: pictures go in one by one, vectors come out when the film is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.base import ImageEncoder
from indexer.worker import Worker

QUEUED_FRAMES = 4
"""Decoded frames that may wait here, beside the small pictures of one batch."""


class Picture(Protocol):
    """A frame that can still be turned into pixels."""

    def picture_rgb(self, width: int, height: int, fit: str) -> NDArray[np.uint8]:
        """The frame, upright, as RGB of exactly that size: (height, width, 3)."""


class EncodingThread:
    """Scales and encodes frames beside the decode loop; vectors are kept as float16.

    An exception of the encoder is raised again by the next `put`, or by `finish`.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self._vectors: dict[float, NDArray[np.float16]] = {}
        self._worker: Worker[tuple[float, Picture]] = Worker("encoder", QUEUED_FRAMES, self._encode)

    def put(self, time_s: float, frame: Picture) -> None:
        """Queue a frame; waits while too many are ahead of it."""
        self._worker.put((time_s, frame))

    def finish(self) -> dict[float, NDArray[np.float16]]:
        """Wait for the rest; the vector (dim,) of each frame, by its time."""
        self._worker.finish()
        return self._vectors

    def cancel(self) -> None:
        """Drop what waits and end the thread."""
        self._worker.cancel()

    def _encode(self, frames: Iterator[tuple[float, Picture]]) -> None:
        self._encoder.load()
        times_s: list[float] = []
        pictures: list[NDArray[np.uint8]] = []
        for time_s, frame in frames:
            times_s.append(time_s)
            pictures.append(frame.picture_rgb(*self._encoder.picture_size, self._encoder.fit))
            if len(pictures) >= self._encoder.batch_size:
                self._encode_batch(times_s, pictures)
        if pictures:
            self._encode_batch(times_s, pictures)

    def _encode_batch(self, times_s: list[float], pictures: list[NDArray[np.uint8]]) -> None:
        vectors = self._encoder.encode(np.stack(pictures)).astype(np.float16)
        self._vectors.update(zip(times_s, vectors, strict=True))
        times_s.clear()
        pictures.clear()
