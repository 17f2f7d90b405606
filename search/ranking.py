"""From spans of single segments to one ranking of moments in films."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from search.moments.base import Span

NMS_IOU = 0.5
"""Two spans of one video that overlap by half are the same moment, found in two segments or at
two levels; the better one stays."""


@dataclass(frozen=True)
class Candidate:
    """A span, and the video and segment it was found in."""

    video_row: int
    span: Span
    segment_row: int
    """Row of the segment table; -1 for what was found without a segment, by sound."""


def rank(candidates: Iterable[Candidate], top: int) -> list[Candidate]:
    """The best `top` candidates, best first, without those that repeat a better one.

    Equal scores are ordered by video and time, so that the same question has the same answer.
    """
    ordered = sorted(candidates, key=_order)
    kept: list[Candidate] = []
    spans = np.zeros(min(top, len(ordered)), [("video", "i8"), ("start", "f8"), ("end", "f8")])
    for candidate in ordered:
        if len(kept) == top:
            break
        span = candidate.span
        better = spans[: len(kept)]
        shared_s = np.minimum(better["end"], span.end_s) - np.maximum(better["start"], span.start_s)
        whole_s = np.maximum(better["end"], span.end_s) - np.minimum(better["start"], span.start_s)
        repeats = (better["video"] == candidate.video_row) & (shared_s >= NMS_IOU * whole_s)
        if not (repeats & (shared_s > 0)).any():
            spans[len(kept)] = (candidate.video_row, span.start_s, span.end_s)
            kept.append(candidate)
    return kept


def _order(candidate: Candidate) -> tuple[float, ...]:
    span = candidate.span
    return (-span.score, candidate.video_row, span.start_s, span.end_s, candidate.segment_row)


def temporal_iou(a: Span, b: Span) -> float:
    """Length of the intersection of two spans over that of their union; 0 where they are apart."""
    shared_s = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
    if shared_s <= 0:
        return 0.0
    return shared_s / (max(a.end_s, b.end_s) - min(a.start_s, b.start_s))
