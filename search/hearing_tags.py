"""Ears that look a sentence up among the tags that the sound tower gave each clip (ADR 0014)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.hearing import Heard, chance_of
from search.sound_words import heard_labels, named_share
from search.text.base import EncodedQuery
from storage.audioset import labels
from storage.view import Snapshot

_BLOCK_ROWS = 262_144


class TagEars:
    """AudioSet's tags as words: "a dog barks" is heard where "Bark" is likely."""

    def listen(self, snapshot: Snapshot, query: EncodedQuery) -> Heard | None:
        """The evidence is the tag's probability times how fully the sentence names it; the sentence
        asks for sound as far as its words name one.
        """
        tags = snapshot.sound_tags
        if tags is None:
            return None
        named = heard_labels(query.text, labels())
        if not named:
            return None
        found = np.zeros(len(tags), dtype=np.float32)
        for start in range(0, len(tags), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            found[block] = _likely(tags[block], named)
        found[~snapshot.clip_alive] = 0.0
        return Heard(found, named_share(query.text, labels()), chance_of(found, snapshot))


def _likely(tags: NDArray[np.void], named: dict[int, float]) -> NDArray[np.float32]:
    found = np.zeros(len(tags), dtype=np.float32)
    for label, weight in named.items():
        probability = np.where(tags["label"] == label, tags["probability"], 0).max(axis=1)
        np.maximum(found, weight * probability.astype(np.float32), out=found)
    return found
