"""An encoder pair whose vectors a test can work out in its head: a picture is its mean colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.text.base import EncodedQuery
from storage.errors import QueryError
from storage.records import EncoderStamp, SoundStamp

COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "white": (1.0, 1.0, 1.0),
}
DIM = 4
STAMP = EncoderStamp("colours-1", "c0105", DIM)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled to length 1, row by row."""
    result: NDArray[np.float32] = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return result


class ColourEncoder:
    """Mean red, green and blue of a picture, and a little constant so that black has a vector."""

    stamp = STAMP
    picture_size = (32, 24)
    fit = "squash"
    batch_size = 8

    def __init__(self) -> None:
        self.encoded = 0

    def load(self) -> None:
        pass

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert pictures.shape[1:] == (24, 32, 3), pictures.shape
        self.encoded += len(pictures)
        means = pictures.reshape(len(pictures), -1, 3).mean(axis=1) / 255
        constant = np.full((len(pictures), 1), 0.05)
        return unit(np.concatenate([means, constant], axis=1).astype(np.float32))


class ColourWords:
    """The text side: knows the names of a few colours."""

    stamp = STAMP

    def encode(self, sentence: str) -> EncodedQuery:
        word = sentence.strip().lower()
        if word not in COLOURS:
            raise QueryError(f"{sentence!r} is no colour known to this test")
        vector = unit(np.array([*COLOURS[word], 0.05], dtype=np.float32))
        return EncodedQuery(word, vector, vector[np.newaxis])


class ToneEncoder:
    """A window of sound is its loudness and the share of its power below 1 kHz and above.

    A window that is not silent is surely a dog if it is low, and surely a bird if it is high.
    """

    stamp = SoundStamp("tones-1", "7063", dim=3, tags=527)
    batch_size = 4
    DOG, BIRD = 74, 111
    """Rows of AudioSet's list."""

    def __init__(self) -> None:
        self.encoded = 0

    def load(self) -> None:
        pass

    def encode(
        self, windows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert windows.shape[1:] == (64_000,), windows.shape
        assert len(windows) <= self.batch_size
        self.encoded += len(windows)
        power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
        low, high = power[:, :2000].sum(axis=1), power[:, 2000:].sum(axis=1)
        loudness = np.sqrt((windows**2).mean(axis=1))
        share = low / np.maximum(low + high, 1e-9)
        tags = np.zeros((len(windows), self.stamp.tags), dtype=np.float32)
        tags[:, self.DOG] = np.where(loudness > 0.02, share, 0)
        tags[:, self.BIRD] = np.where(loudness > 0.02, 1 - share, 0)
        vectors = np.stack([loudness + 1e-3, share, 1 - share], axis=1)
        return unit(vectors.astype(np.float32)), tags
