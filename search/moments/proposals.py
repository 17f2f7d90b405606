"""Spans of a segment that may be a moment, before anything is said of how good they are.

Films are cut where something else begins: scenes and runs of a few scenes are proposed, and the
stretches where a curve lies high, with each border near a cut moved onto it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView

SNAP_S = 2.0
"""A border this near to a cut falls on it: borders of clips are no finer than that."""
LEVELS = (0.3, 0.45, 0.6, 0.75, 0.9)
"""Heights between the median of a curve (0) and its peak (1) at which it is cut off."""
SCENES_TOGETHER = 4
"""So many scenes that follow one another may be one moment …"""
LONGEST_RUN_S = 75.0
"""… if they last no longer."""
_SHORTEST_S = 0.4


def proposals(
    segment: SegmentView, curves: Sequence[NDArray[np.floating]], spans_s: NDArray[np.floating]
) -> NDArray[np.float64]:
    """All spans worth judging, (n, 2) in seconds, each once, ascending; at least one.

    Args:
        curves: each (clips,), the higher the likelier.
        spans_s: (m, 2), spans that a network named.
    """
    cuts_s = np.unique(segment.scenes_s)
    first_s, last_s = float(segment.times_s[0, 0]), float(segment.times_s[-1, 1])
    found = [*_runs(segment)]
    for curve in curves:
        found += _level_sets(segment, curve, cuts_s)
    for start_s, end_s in spans_s.tolist():
        start_s, end_s = max(first_s, start_s), min(last_s, end_s)
        if end_s - start_s >= _SHORTEST_S:
            found.append((start_s, end_s))
            found.append((snapped(start_s, cuts_s), snapped(end_s, cuts_s)))
    kept = {
        (round(start_s, 2), round(end_s, 2))
        for start_s, end_s in found
        if end_s - start_s >= _SHORTEST_S
    }
    return np.array(sorted(kept) or [(first_s, max(last_s, first_s + _SHORTEST_S))], np.float64)


def snapped(time_s: float, cuts_s: NDArray[np.float64]) -> float:
    """The nearest cut, if it is near; else the time itself."""
    nearest_s = float(cuts_s[np.abs(cuts_s - time_s).argmin()])
    return nearest_s if abs(nearest_s - time_s) <= SNAP_S else time_s


def _runs(segment: SegmentView) -> Iterator[tuple[float, float]]:
    """Single scenes and runs of scenes whose middle lies in the segment."""
    first_s, last_s = float(segment.times_s[0, 0]), float(segment.times_s[-1, 1])
    scenes = segment.scenes_s.tolist()
    for begin, (start_s, _) in enumerate(scenes):
        for together in range(1, SCENES_TOGETHER + 1):
            if begin + together > len(scenes):
                break
            end_s = scenes[begin + together - 1][1]
            if together > 1 and end_s - start_s > LONGEST_RUN_S:
                break
            if first_s <= (start_s + end_s) / 2 <= last_s:
                yield start_s, end_s


def _level_sets(
    segment: SegmentView, curve: NDArray[np.floating], cuts_s: NDArray[np.float64]
) -> Iterator[tuple[float, float]]:
    floor, peak = float(np.median(curve)), float(curve.max())
    for level in LEVELS:
        above = np.concatenate([[False], curve >= floor + level * (peak - floor), [False]])
        (edges,) = np.nonzero(above[1:] != above[:-1])
        for first, end in edges.reshape(-1, 2).tolist():
            start_s = snapped(float(segment.times_s[first, 0]), cuts_s)
            end_s = snapped(float(segment.times_s[end - 1, 1]), cuts_s)
            if end_s > start_s:
                yield start_s, end_s
