"""Ears that compare a sentence with the sound of each clip, in the space that both share."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.hearing import Heard, chance_of
from search.hearing_asks import Asks
from search.text.base import EncodedQuery, TextEncoder
from storage.view import Snapshot

EXPECTED = 1.5
"""Log-odds that are added to the tower's own: it is calibrated on sounds and sentences that meet at
random, and whoever types a sentence expects it to be true somewhere. Chosen so that what is only
heard is right as often as it says (docs/adr/0020)."""

_BLOCK_ROWS = 65_536
"""Clips whose vectors are widened at once: 64 MiB of float32 at 256 numbers each."""

_JOINTS = re.compile(r"\s*(?:[,;]|\b(?:and|with|while|as)\b)\s*", re.IGNORECASE)
"""Where a sentence about a picture and a sound may be taken apart."""

_MOST_PARTS = 6


class SoundSentences(Protocol):
    """The text side of a sound tower, as `search.sound_text.SoundText` is one."""

    def encode(self, query: EncodedQuery) -> NDArray[np.float32]:
        """(dim,), unit length."""

    def probability(
        self, cosines: NDArray[np.float32], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """P(heard), in the shape of `cosines`."""


class SpaceEars:
    """The sound of a clip is what the sentence says, as far as their vectors are near."""

    def __init__(
        self,
        sentences: SoundSentences,
        words: TextEncoder,
        asks: Asks,
        expected: float = EXPECTED,
    ) -> None:
        """`words` encodes the parts of a sentence, as it did the whole."""
        self._sentences = sentences
        self._words = words
        self._asks = asks
        self._expected = expected

    def listen(self, snapshot: Snapshot, query: EncodedQuery) -> Heard | None:
        """What is heard of the sentence, and of the part of it that asks most for a sound."""
        vectors = snapshot.sound_vectors
        if vectors is None:
            return None
        heard = self.hear(vectors, query)
        part = heard.part and _counted(heard.part, snapshot)
        return replace(_counted(heard, snapshot), part=part)

    def hear(self, vectors: NDArray[np.floating[Any]], query: EncodedQuery) -> Heard:
        """What is heard in clips with these sound vectors: (clips, dim), zeros for silence."""
        part = self.part(query)
        return replace(
            self._hear(vectors, query), part=None if part is None else self._hear(vectors, part)
        )

    def _hear(self, vectors: NDArray[np.floating[Any]], query: EncodedQuery) -> Heard:
        wanted = self._sentences.encode(query)
        evidence = np.zeros(len(vectors), dtype=np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            cosines = vectors[block].astype(np.float32) @ wanted
            # Nothing but zeros is at a right angle to the last bit: a clip without sound.
            likely = _more(self._sentences.probability(cosines, wanted), self._expected)
            evidence[block] = np.where(cosines != 0.0, likely, 0.0)
        chance = float(evidence.mean()) if len(vectors) else 0.0
        return Heard(evidence, self._asks.of(query), chance)

    def part(self, query: EncodedQuery) -> EncodedQuery | None:
        """The part of a sentence that asks more for a sound than the whole, and the most."""
        parts = [part for part in _JOINTS.split(query.text) if part]
        if len(parts) < 2:
            return None
        encoded = [self._words.encode(part) for part in parts[:_MOST_PARTS]]
        best = max(encoded, key=self._asks.of)
        return best if self._asks.of(best) > self._asks.of(query) else None


def _counted(heard: Heard, snapshot: Snapshot) -> Heard:
    """Without the clips of removed videos."""
    heard.evidence[~snapshot.clip_alive] = 0.0
    return replace(heard, chance=chance_of(heard.evidence, snapshot))


def _more(probability: NDArray[np.float32], log_odds: float) -> NDArray[np.float32]:
    """Probabilities with so many log-odds added."""
    odds = probability * np.float32(np.exp(log_odds))
    raised: NDArray[np.float32] = odds / (odds + (1 - probability))
    return raised
