"""How far a sentence asks for something to be heard, rather than seen.

"Applause" does, "a man in a red coat on a bench" does not, "a dog" may. A logistic regression on
the text tower's sentence vector says so, fitted on sentences about sounds against captions of
photos and names of things (`training/fusion/asking.py`). It knows one text tower; with any other
the share of the words that name sounds of AudioSet decides, to which "dog" is a sound like any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.sound_words import named_share
from search.text.base import EncodedQuery
from storage.audioset import labels

FILE = Path(__file__).parent / "hearing_asks.npz"
"""`weights` (width,) and `bias` float32, `text_sha256` of the text tower's file."""


@dataclass(frozen=True, repr=False)
class Asks:
    """Reads the sentence vector where it can, else the words."""

    weights: NDArray[np.float32] | None = None
    """(width of the sentence vector,); None where only words count."""
    bias: float = 0.0

    def of(self, query: EncodedQuery) -> float:
        """0 to 1."""
        if self.weights is None or query.sentence is None:
            return named_share(query.text, labels())
        return self.meant(query.sentence)

    def meant(self, sentence: NDArray[np.float32]) -> float:
        """What the regression says of a sentence vector (width,), 0 to 1."""
        assert self.weights is not None, "there is no regression for this text tower"
        return 1.0 / (1.0 + math.exp(-float(self.weights @ sentence) - self.bias))


def load_asks(text_sha256: str | None, file: Path = FILE) -> Asks:
    """The regression that ships with reelseek, if it was fitted on this text tower."""
    if not file.exists():
        return Asks()
    with np.load(file) as kept:
        if str(kept["text_sha256"]) != text_sha256:
            return Asks()
        return Asks(kept["weights"].astype(np.float32), float(kept["bias"]))
