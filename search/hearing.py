"""Sound tags as words: which clips are heard to hold what a sentence names.

A sentence that names kinds of sound ("dog barking", "applause") is looked up among the tags that
the sound tower gave each clip. What is heard lifts moments found by their pictures, and a run of
clips that is heard for itself becomes a moment of its own (docs/adr/0014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.sound_words import heard_labels
from storage.audioset import labels
from storage.view import Snapshot

AUDIBLE = 0.2
"""Evidence from which on a clip counts as holding the sound."""

MOST_RUNS = 64
"""At most so many moments are found by sound alone, the loudest in evidence first."""


@dataclass(frozen=True)
class Run:
    """Consecutive clips of one video in which a named sound is heard."""

    video_row: int
    clips: slice
    """Rows of the clip table."""
    evidence: float
    """The highest of its clips, 0 to 1."""


def evidence(snapshot: Snapshot, sentence: str) -> NDArray[np.float32] | None:
    """How surely each clip holds a sound that the sentence names.

    Returns:
        (clip rows,) between 0 and 1: the tag's probability times how fully the sentence names it;
        None where the archive keeps no sound, or the sentence names none.
    """
    tags = snapshot.sound_tags
    if tags is None:
        return None
    named = heard_labels(sentence, labels())
    if not named:
        return None
    found = np.zeros(len(tags), dtype=np.float32)
    for label, weight in named.items():
        probability = np.where(tags["label"] == label, tags["probability"], 0).max(axis=1)
        np.maximum(found, weight * probability.astype(np.float32), out=found)
    found[~snapshot.clip_alive] = 0.0
    return found


def audible(found: NDArray[np.float32]) -> float:
    """The highest evidence of some clips; 0 where it is too little to count."""
    highest = float(found.max(initial=0.0))
    return highest if highest >= AUDIBLE else 0.0


def lifted(score: float, heard: float) -> float:
    """The score of what is seen and heard: its own once more, times the evidence.

    Cosines can be negative: their size counts, here and in `alone`, so that more evidence is always
    more score.
    """
    return score + abs(score) * heard


def alone(best: float, heard: float) -> float:
    """The score of what is only heard: that of the best picture, less what the evidence lacks."""
    return best - abs(best) * (1.0 - heard)


def runs(
    snapshot: Snapshot, found: NDArray[np.float32], videos: NDArray[np.bool_] | None
) -> list[Run]:
    """The runs of audible clips, surest first; `videos` is a mask over video rows."""
    loud = found >= AUDIBLE
    owner = snapshot.clip_table["video"]
    if videos is not None:
        loud &= videos[owner]
    if not loud.any():
        return []
    follows = loud[1:] & loud[:-1] & (owner[1:] == owner[:-1])
    starts = np.flatnonzero(loud & ~np.concatenate([[False], follows]))
    ends = np.flatnonzero(loud & ~np.concatenate([follows, [False]])) + 1
    made = [
        Run(int(owner[start]), slice(start, end), float(found[start:end].max()))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return sorted(made, key=lambda run: (-run.evidence, run.clips.start))[:MOST_RUNS]
