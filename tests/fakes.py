"""An encoder pair whose vectors a test can work out in its head: a picture is its mean colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.text.base import EncodedQuery
from storage.errors import QueryError
from storage.records import EncoderStamp

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
