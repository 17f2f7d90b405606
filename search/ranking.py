"""From spans of single segments to one ranking of moments in films."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    for candidate in ordered:
        if len(kept) == top:
            break
        if not any(
            candidate.video_row == better.video_row
            and temporal_iou(candidate.span, better.span) >= NMS_IOU
            for better in kept
        ):
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
