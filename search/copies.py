"""Whether two moments show the same footage: another digitisation, encode or use of one shot.

Two signs must agree. The shots have the same length from cut to cut, to a frame or two: that tells
a copy from another take of the same interview, whose pictures are as alike as those of a copy. And
the clips that then show the same instant differ by little of what two clips of the archive differ
by chance, which makes one number fit encoders whose cosines all lie high. Figures in docs/adr/0019;
grey copies, and shots that were trimmed, are mostly missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.records import CLIP_S

COPY_DISTANCE = 0.08
"""Share of the distance by chance that copies may differ by, chosen on re-encoded photos."""

SAME_LENGTH_S = 0.12
"""Three frames of film: a cut may be found a frame off in a copy of another frame rate."""

MOST_CLIPS = 32
"""Clips of a moment that are compared, from its middle: a minute."""


@dataclass(frozen=True, repr=False)
class Footage:
    """What a moment shows."""

    shot_s: float
    """Length of the shot that most of it lies in, from cut to cut."""
    times_s: NDArray[np.float64]
    """(clips,), ascending: centre of each clip, counted from the beginning of that shot."""
    vectors: NDArray[np.float32]
    """(clips, dim), at least one, unit length."""

    def __repr__(self) -> str:
        return f"Footage(clips={self.vectors.shape}, shot_s={self.shot_s:.2f})"


def least_similarity(chance: float) -> float:
    """The cosine from which on clips are copies, where those of the archive have `chance`."""
    return 1.0 - COPY_DISTANCE * (1.0 - chance)


def chance_similarity(vectors: NDArray[np.float32]) -> float:
    """Mean cosine of two different rows of (clips, dim), unit length; 0 for fewer than two."""
    count = len(vectors)
    if count < 2:
        return 0.0
    whole = vectors.sum(axis=0, dtype=np.float64)
    return float(np.clip((whole @ whole - count) / (count * (count - 1)), 0.0, 1.0))


class KnownFootage:
    """Footage that new footage is compared with: all that has its length, in one product."""

    def __init__(self) -> None:
        self._known: list[Footage] = []
        self._shots_s: list[float] = []

    def add(self, footage: Footage) -> None:
        """Its number is how many were added before."""
        self._known.append(_middle(footage))
        self._shots_s.append(footage.shot_s)

    def alike(self, footage: Footage, least: float) -> Iterator[tuple[int, float]]:
        """Number and similarity of what shows the same, in the order in which it was added."""
        apart_s = np.abs(np.array(self._shots_s) - footage.shot_s)
        numbers = np.flatnonzero(apart_s <= SAME_LENGTH_S).tolist()
        if not numbers:
            return
        own = _middle(footage)
        others = [self._known[number] for number in numbers]
        ends = np.cumsum([len(other.vectors) for other in others])
        starts = np.concatenate([[0], ends[:-1]])
        cosines = own.vectors @ np.concatenate([other.vectors for other in others]).T
        highest = np.maximum.reduceat(cosines.max(axis=0), starts)
        for place in np.flatnonzero(highest >= least).tolist():
            block = cosines[:, starts[place] : ends[place]]
            similarity = _mean_of_same(block, own.times_s, others[place].times_s)
            if similarity is not None and similarity >= least:
                yield numbers[place], similarity


def aligned(one: Footage, other: Footage) -> float | None:
    """Mean cosine of the clips of two moments that show the same instant of their shots.

    None where they have less than half of the shorter moment in common.
    """
    return _mean_of_same(one.vectors @ other.vectors.T, one.times_s, other.times_s)


def _mean_of_same(
    cosines: NDArray[np.float32], times_s: NDArray[np.float64], others_s: NDArray[np.float64]
) -> float | None:
    """`aligned`, from the cosines (clips of one, clips of the other)."""
    apart_s = np.abs(times_s[:, np.newaxis] - others_s)
    nearest = apart_s.argmin(axis=1)
    rows = np.flatnonzero(apart_s[np.arange(len(times_s)), nearest] <= CLIP_S / 2)
    if 2 * len(rows) < min(cosines.shape) or not len(rows):
        return None
    return float(cosines[rows, nearest[rows]].mean())


def _middle(footage: Footage) -> Footage:
    first = max(0, (len(footage.vectors) - MOST_CLIPS) // 2)
    kept = slice(first, first + MOST_CLIPS)
    return Footage(footage.shot_s, footage.times_s[kept], footage.vectors[kept])
