"""Clips and segments of a video: arithmetic only.

Clip k of a video whose first frame is shown at `start_s` covers
[start_s + 2k, start_s + 2k + 2); a tail shorter than 2 s is a clip of its own. A clip's picture
is the last frame that begins before its centre, which is also what FFmpeg's `fps=0.5` filter, used
for the published QVHighlights features, picks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from storage.records import CLIP_S, SEGMENT_CLIPS, Segment

DEFAULT_OVERLAP_S = 30.0
"""Neighbouring segments share 30 s, so every moment of up to 30 s lies whole in one of them.

Annotated moments of QVHighlights last 24.6 s on average (Lei et al. 2021). Overlap costs
scoring only, in the shortlisted segments: 75 / (75 - 15), a quarter more.
"""

_SLIVER_S = 1e-3
"""A tail below a millisecond is rounding of the container's clock, not a clip."""


def clip_count(start_s: float, end_s: float) -> int:
    """How many clips cover [start_s, end_s); at least one."""
    return max(1, math.ceil((end_s - start_s - _SLIVER_S) / CLIP_S))


def clip_times(start_s: float, end_s: float) -> NDArray[np.float64]:
    """Start and end of each clip in seconds, (clips, 2); the last one ends at `end_s`."""
    starts = start_s + CLIP_S * np.arange(clip_count(start_s, end_s), dtype=np.float64)
    return np.stack([starts, np.append(starts[1:], end_s)], axis=1)


def overlap_clips(overlap_s: float) -> int:
    """The overlap of segments in whole clips.

    Raises:
        ValueError: the overlap is negative or leaves no room to move on.
    """
    if not 0 <= overlap_s <= (SEGMENT_CLIPS - 1) * CLIP_S:
        raise ValueError(f"segments overlap by 0 to {(SEGMENT_CLIPS - 1) * CLIP_S:.0f} seconds.")
    return round(overlap_s / CLIP_S)


def segments(clips: int, overlap: int) -> tuple[Segment, ...]:
    """Segments of at most 75 clips that cover `clips` clips; neighbours share at least `overlap`.

    The last segment ends with the video and reaches back to its full length where the video is
    long enough: a moment head sees windows of the length that it was trained on.
    """
    stride = SEGMENT_CLIPS - overlap
    last = max(0, clips - SEGMENT_CLIPS)
    firsts = [*range(0, last, stride), last]
    return tuple(
        Segment(number, first, min(SEGMENT_CLIPS, clips - first))
        for number, first in enumerate(firsts)
    )
