"""The protocol that every moment head follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.text.base import EncodedQuery


@dataclass(frozen=True, repr=False)
class SegmentView:
    """All that a head may look at: one segment's clips, and the cuts that run through it."""

    vectors: NDArray[np.float32]
    """(clips, dim), unit length."""
    times_s: NDArray[np.float64]
    """(clips, 2): start and end of each clip, consecutive."""
    scenes_s: NDArray[np.float64]
    """(scenes, 2): the scenes that overlap the segment, whole: they may reach beyond it."""
    scene_vectors: NDArray[np.float32]
    """(scenes, dim), unit length."""
    background: float
    """Mean similarity of the sentence to clips all over the archive: what chance looks like."""
    background_deviation: float = 0.0
    """Standard deviation of the same similarities; 0 where it was not measured."""
    sound: NDArray[np.float32] | None = None
    """(clips, sound dim), unit length, zeros for a clip without sound; None in an archive that
    keeps no sound."""

    def __repr__(self) -> str:
        start_s, end_s = self.times_s[0, 0], self.times_s[-1, 1]
        return (
            f"SegmentView({start_s:.1f}-{end_s:.1f} s, clips={len(self.vectors)}, "
            f"scenes={len(self.scenes_s)})"
        )


@dataclass(frozen=True)
class Span:
    """A moment that a head found."""

    start_s: float
    end_s: float
    score: float
    """Comparable across segments and videos of one query; higher is better."""
    stages: dict[str, float]
    """The figures that made the score, by name, for `--json`."""
    probability: float | None = None
    """How likely the span shows what the sentence says, 0 to 1, calibrated; None from a head that
    cannot tell."""
    curve: tuple[float, ...] = ()
    """Saliency of each clip that the span touches, in order, as the head sees it; any scale."""


class MomentHead(Protocol):
    """Finds moments in segments."""

    @property
    def head_id(self) -> str:
        """Name shown to users, e.g. "watershed"."""

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        """For each segment its moments, best first; may be empty."""
