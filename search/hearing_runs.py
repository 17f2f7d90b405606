"""Moments by sound alone: the runs of consecutive clips in which the asked sound is heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.records import CLIP_S


@dataclass(frozen=True)
class RunSettings:
    """The constants, with the values that did best on tapes with sound (docs/adr/0020)."""

    audible: float = 0.1
    """Evidence from which on a clip belongs to a run."""
    near_peak: float = 0.3
    """Share of a run's highest evidence that its other clips must reach: what is surely heard for
    four seconds does not begin with the doubtful clip before."""
    snap_s: float = 2.0
    """A border this near to a cut falls on it: the sound of a shot begins and ends with it."""
    longest_s: float = 60.0
    """A longer run, such as the speech of an interview, is parted at cuts, or where the least is
    heard if there are none."""
    most: int = 64
    """At most so many runs of a search, the surest first."""


RUNS = RunSettings()


@dataclass(frozen=True)
class Part:
    """A stretch of a run."""

    clips: slice
    """Of the run."""
    start_s: float
    end_s: float


def runs(
    evidence: NDArray[np.float32], owner: NDArray[np.uint32], settings: RunSettings = RUNS
) -> list[tuple[int, slice]]:
    """The audible runs of an archive as video rows and rows of the clip table, surest first.

    Args:
        evidence: (clip rows,)
        owner: (clip rows,) the video row of each clip; clips of a video are consecutive.
    """
    (rows,) = np.nonzero(evidence >= settings.audible)
    if len(rows) == 0:
        return []
    breaks = (np.diff(rows) > 1) | (owner[rows[1:]] != owner[rows[:-1]])
    begins = np.concatenate([[True], breaks])
    firsts = rows[begins]
    ends = rows[np.concatenate([breaks, [True]])] + 1
    peaks = np.maximum.reduceat(evidence[rows], np.flatnonzero(begins))
    order = np.lexsort((firsts, -peaks))[: settings.most]
    return [(int(owner[firsts[k]]), slice(int(firsts[k]), int(ends[k]))) for k in order]


def refined(
    evidence: NDArray[np.float32],
    times_s: NDArray[np.float64],
    cuts_s: NDArray[np.float64],
    settings: RunSettings = RUNS,
) -> Iterator[Part]:
    """The parts of a run that are near its peak, none of them too long.

    Args:
        evidence: (clips of the run,)
        times_s: (clips of the run, 2)
        cuts_s: ascending; where scenes of the video begin and end.
    """
    near = np.concatenate([[False], evidence >= settings.near_peak * evidence.max(), [False]])
    (edges,) = np.nonzero(near[1:] != near[:-1])
    for first, end in edges.reshape(-1, 2).tolist():
        for low, high in _parted(first, end, evidence, times_s, cuts_s, settings):
            times = float(times_s[low, 0]), float(times_s[high - 1, 1])
            start_s, end_s = (_snapped(time_s, cuts_s, settings.snap_s) for time_s in times)
            if start_s >= end_s:
                start_s, end_s = times
            yield Part(slice(low, high), start_s, end_s)


def _parted(
    first: int,
    end: int,
    evidence: NDArray[np.float32],
    times_s: NDArray[np.float64],
    cuts_s: NDArray[np.float64],
    settings: RunSettings,
) -> list[tuple[int, int]]:
    """Stretches of clips that are short enough, split near the middle where that can be: at the
    cut nearest to it, else where the least is heard.
    """
    if (end - first) * CLIP_S <= settings.longest_s:
        return [(first, end)]
    quarter = max((end - first) // 4, 1)
    low, high = first + quarter, end - quarter
    at_cuts = np.searchsorted(times_s[:, 0], cuts_s)
    at_cuts = at_cuts[(at_cuts >= low) & (at_cuts <= high)]
    if len(at_cuts):
        middle = int(at_cuts[np.abs(at_cuts - (first + end) / 2).argmin()])
    else:
        middle = low + int(evidence[low : high + 1].argmin())
    return [
        part
        for stretch in ((first, middle), (middle, end))
        for part in _parted(*stretch, evidence, times_s, cuts_s, settings)
    ]


def _snapped(time_s: float, cuts_s: NDArray[np.float64], within_s: float) -> float:
    if len(cuts_s) == 0:
        return time_s
    nearest_s = float(cuts_s[np.abs(cuts_s - time_s).argmin()])
    return nearest_s if abs(nearest_s - time_s) <= within_s else time_s
