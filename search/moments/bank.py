"""Photos and sentences that no archive holds: what a similarity is worth.

A cosine alone says little: some sentences are near to every picture, some pictures near to every
sentence. The bank that ships with the lite moment head is a sample of both. How a sentence does on
the bank's photos shows what it reaches by chance; how a clip does on the bank's sentences shows
whether other words would describe it better.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import BundleError

_TOP_SHARE = 0.01
"""The best hundredth of a bank: what a sentence, or a clip, reaches at its best by chance."""
_LEAST_DEVIATION = 0.02
"""Cosines of unit vectors stray by no less anywhere; keeps a quotient finite."""


@dataclass(frozen=True, repr=False)
class Chance:
    """What cosines look like where nothing is meant: float32, one entry for each sentence or clip
    that was held against the bank.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    top: NDArray[np.float32]
    """Mean of the best hundredth."""


@dataclass(frozen=True, repr=False)
class Bank:
    """Vectors of the encoder that the head was trained with."""

    photos: NDArray[np.float32]
    """(photos, dim), unit length."""
    sentences: NDArray[np.float32]
    """(sentences, dim), unit length."""

    @staticmethod
    def load(file: Path) -> Bank:
        """Read what `save` wrote.

        Raises:
            BundleError: the file is damaged, or holds something else.
        """
        try:
            with np.load(file, allow_pickle=False) as kept:
                photos, sentences = kept["photos"], kept["sentences"]
        except Exception as error:  # numpy answers to a damaged file with all kinds of errors
            raise BundleError(
                f"The bank of photos and sentences {file} cannot be read ({error}): install the "
                "moment head again."
            ) from error
        if photos.ndim != 2 or not len(photos) or photos.shape[1:] != sentences.shape[1:]:
            raise BundleError(f"{file} is no bank of photos and sentences of one width.")
        return Bank(photos.astype(np.float32), sentences.astype(np.float32))

    def save(self, file: Path) -> None:
        """Write the bank as float16."""
        with file.open("wb") as stream:
            np.savez_compressed(
                stream,
                photos=self.photos.astype(np.float16),
                sentences=self.sentences.astype(np.float16),
            )

    @property
    def dim(self) -> int:
        return int(self.photos.shape[1])

    def of_sentences(self, pooled: NDArray[np.float32]) -> Chance:
        """How sentences (n, dim) do on the bank's photos."""
        return _chance(pooled @ self.photos.T)

    def of_clips(self, vectors: NDArray[np.float32]) -> Chance:
        """How clips (n, dim) do on the bank's sentences."""
        return _chance(vectors @ self.sentences.T)


def _chance(cosines: NDArray[np.float32]) -> Chance:
    """(n, bank) → (n,) each."""
    most = max(1, round(_TOP_SHARE * cosines.shape[1]))
    deviation = np.maximum(cosines.std(axis=1), np.float32(_LEAST_DEVIATION))
    top = np.partition(cosines, -most, axis=1)[:, -most:].mean(axis=1)
    return Chance(cosines.mean(axis=1), deviation, top)
