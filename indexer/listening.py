"""The sound encoder's own thread: blocks of sound go in, features per clip come out at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.alignment import SoundAligner
from indexer.audio import Sound
from indexer.sound import SoundWindows
from indexer.worker import Worker
from storage.records import SoundFeatures, SoundStamp

_QUEUED_BLOCKS = 64
"""About 1.4 s of AAC; what waits is bounded by time, not by the film's length."""


class SoundEncoder(Protocol):
    """Turns windows of sound into vectors, and says what kinds of sound it hears in them."""

    @property
    def stamp(self) -> SoundStamp:
        """What the archive remembers of this encoder."""

    @property
    def batch_size(self) -> int:
        """How many windows are encoded at once."""

    def load(self) -> None:
        """Load the weights, unless they are; called in the thread that will encode.

        Raises:
            BundleError: a file is damaged, or a library that it needs is not installed.
        """

    def encode(
        self, windows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encode (n, 64000) mono samples at 32 kHz.

        Returns:
            (n, dim) of unit length, and (n, tags) probabilities.
        """


class ListeningThread:
    """Aligns, resamples and encodes a film's sound beside the decode loop."""

    def __init__(self, encoder: SoundEncoder, may_jump: bool) -> None:
        """`may_jump`: whether the film's clock is known to break (transport streams)."""
        self._encoder = encoder
        self._vectors: list[NDArray[np.float16]] = []
        self._tags: list[NDArray[np.float16]] = []
        self._may_jump = may_jump
        self._worker: Worker[tuple[Sound, float]] = Worker(
            "listening", _QUEUED_BLOCKS, self._listen
        )

    def put(self, sound: Sound, film_start_s: float) -> None:
        """Queue a block; waits while too many are ahead of it. Clip 0 begins at `film_start_s`."""
        self._worker.put((sound, film_start_s))

    def finish(self, clips: int) -> SoundFeatures:
        """Wait for the rest; the features of so many clips, zeros where there was no sound."""
        self._worker.finish()
        stamp = self._encoder.stamp
        return SoundFeatures(
            _rows(self._vectors, clips, stamp.dim), _rows(self._tags, clips, stamp.tags)
        )

    def cancel(self) -> None:
        """Drop what waits and end the thread."""
        self._worker.cancel()

    def _listen(self, blocks: Iterator[tuple[Sound, float]]) -> None:
        batch = np.empty((0, 0), dtype=np.float32)
        for windows in self._windows_of(blocks):
            if len(windows) == 0:
                continue
            batch = windows if len(batch) == 0 else np.concatenate([batch, windows])
            while len(batch) >= self._encoder.batch_size:
                self._encode(batch[: self._encoder.batch_size])
                batch = batch[self._encoder.batch_size :]
        if len(batch):
            self._encode(batch)

    def _windows_of(self, blocks: Iterator[tuple[Sound, float]]) -> Iterator[NDArray[np.float32]]:
        aligner: SoundAligner | None = None
        for block, film_start_s in blocks:
            if aligner is None:
                self._encoder.load()
                aligner = SoundAligner(block.rate, film_start_s, self._may_jump)
                run = SoundWindows(block.rate)
            for samples in aligner.push(block):
                yield run.push(samples)
        if aligner is not None:
            yield run.finish()

    def _encode(self, windows: NDArray[np.float32]) -> None:
        vectors, tags = self._encoder.encode(windows)
        self._vectors.append(vectors.astype(np.float16))
        self._tags.append(tags.astype(np.float16))


def _rows(parts: list[NDArray[np.float16]], clips: int, width: int) -> NDArray[np.float16]:
    """(clips, width): the rows of all parts, cut to the clips, zeros behind them."""
    rows = np.zeros((clips, width), dtype=np.float16)
    if parts:
        made = np.concatenate(parts)[:clips]
        rows[: len(made)] = made
    return rows
