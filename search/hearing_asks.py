"""How far a sentence asks for something to be heard, rather than seen.

"Applause" does, "a man in a red coat on a bench" does not, "a guitar" may. Two readings, of which
the higher counts: the share of its words that name sounds of AudioSet, and what a logistic
regression on the text tower's sentence vector says, which was fitted on sentences about sounds
against captions of photos (`training/fusion/asking.py`). It knows one text tower; with any other
the words alone decide.
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
    """The two readings in one."""

    weights: NDArray[np.float32] | None = None
    """(width of the sentence vector,); None where only words count."""
    bias: float = 0.0

    def of(self, query: EncodedQuery) -> float:
        """0 to 1."""
        named = named_share(query.text, labels())
        return max(named, self.meant(query))

    def meant(self, query: EncodedQuery) -> float:
        """What the sentence vector says, 0 to 1; 0 where it cannot be read."""
        if self.weights is None or query.sentence is None:
            return 0.0
        return 1.0 / (1.0 + math.exp(-float(self.weights @ query.sentence) - self.bias))


def load_asks(text_sha256: str | None, file: Path = FILE) -> Asks:
    """The regression that ships with reelseek, if it was fitted on this text tower."""
    if not file.exists():
        return Asks()
    with np.load(file) as kept:
        if str(kept["text_sha256"]) != text_sha256:
            return Asks()
        return Asks(kept["weights"].astype(np.float32), float(kept["bias"]))
