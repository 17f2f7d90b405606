"""The protocol that every text tower follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.records import EncoderStamp


@dataclass(frozen=True, repr=False)
class EncodedQuery:
    """A sentence in the space that it shares with pictures."""

    text: str
    pooled: NDArray[np.float32]
    """(dim,), unit length: the whole sentence."""
    tokens: NDArray[np.float32]
    """(tokens, dim), not normalised: for moment heads that read word by word."""
    sentence: NDArray[np.float32] | None = None
    """(width,), unit length: the tower's own sentence vector before it was projected to pictures,
    for a sound tower that reads it; None where the tower does not give it."""

    def __repr__(self) -> str:
        return f"EncodedQuery({self.text!r}, tokens={self.tokens.shape})"


class TextEncoder(Protocol):
    """Turns sentences into vectors of the space of its picture tower."""

    @property
    def stamp(self) -> EncoderStamp:
        """Must equal the stamp of the archive that is searched."""

    def encode(self, sentence: str) -> EncodedQuery:
        """Encode one sentence.

        Raises:
            QueryError: it is empty, or longer than the encoder reads.
        """
