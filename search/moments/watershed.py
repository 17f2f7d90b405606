"""The training-free moment head: levels of the similarity curve, and the cuts.

Spans are where the curve of similarity between clips and sentence lies above one of several
levels, after the watershed proposals of Diwan et al., "Zero-shot Video Moment Retrieval with
Off-the-Shelf Models" (2023). Films are cut where something else begins, so a border near a cut
falls on it, and every scene is a span too. Where a moment begins and ends is chosen by how its
mean stands out; how it ranks among other places only by its peak, which favours neither long
moments nor short films. The constants were chosen on tapes composed of held-out photos
(training/tapes.py), figures in docs/adr/0009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView, Span
from search.text.base import EncodedQuery
from storage.records import CLIP_S


@dataclass(frozen=True)
class WatershedSettings:
    """The constants, with the values that did best on composed tapes."""

    levels: tuple[float, ...] = (0.3, 0.45, 0.6, 0.75, 0.9)
    """Heights between the segment's median similarity (0) and its peak (1)."""
    prior_clips: float = 1.0
    """Weight, in clips, of the background in a span's mean: one lucky clip is not yet a moment."""
    contrast: float = 0.5
    """Weight of how far a span stands out from what lies just before and after it."""
    snap_s: float = 2.0
    """A border this near to a cut falls on it: borders of clips are no finer than that."""
    moments: int = 5
    """At most so many moments of one segment, apart from each other."""


class Watershed:
    """Proposes level sets and scenes, and keeps those that stand out most."""

    head_id = "watershed"

    def __init__(self, settings: WatershedSettings | None = None) -> None:
        self._settings = settings or WatershedSettings()

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        return [self.find(segment, query) for segment in segments]

    def find(self, segment: SegmentView, query: EncodedQuery) -> list[Span]:
        """The moments of one segment, best first."""
        curve = segment.vectors @ query.pooled
        judge = _Judge(segment, curve, self._settings)
        judged = [judge.proposal(*borders) for borders in self._level_sets(segment, curve)]
        of_scenes = segment.scene_vectors @ query.pooled
        for (start_s, end_s), similarity in zip(
            segment.scenes_s.tolist(), of_scenes.tolist(), strict=True
        ):
            judged.append(judge.proposal(start_s, end_s, similarity))
        judged.sort(key=lambda proposal: (-proposal.salience, proposal.start_s, proposal.end_s))
        kept: list[_Proposal] = []
        for proposal in judged:
            if len(kept) < self._settings.moments and not any(map(proposal.overlaps, kept)):
                kept.append(proposal)
        spans = [proposal.span(_touched(segment, curve, proposal)) for proposal in kept]
        return sorted(spans, key=lambda span: (-span.score, span.start_s))

    def _level_sets(
        self, segment: SegmentView, curve: NDArray[np.float32]
    ) -> list[tuple[float, float]]:
        cuts_s = np.unique(segment.scenes_s)
        floor, peak = float(np.median(curve)), float(curve.max())
        found = []
        for level in self._settings.levels:
            above = np.concatenate([[False], curve >= floor + level * (peak - floor), [False]])
            (edges,) = np.nonzero(above[1:] != above[:-1])
            for first, end in edges.reshape(-1, 2).tolist():
                start_s = self._snapped(segment.times_s[first, 0], cuts_s)
                end_s = self._snapped(segment.times_s[end - 1, 1], cuts_s)
                if end_s > start_s:
                    found.append((start_s, end_s))
        return found

    def _snapped(self, time_s: float, cuts_s: NDArray[np.float64]) -> float:
        nearest_s = float(cuts_s[np.abs(cuts_s - time_s).argmin()])
        return nearest_s if abs(nearest_s - time_s) <= self._settings.snap_s else float(time_s)


@dataclass(frozen=True)
class _Proposal:
    """A span, and what the curve says of it."""

    start_s: float
    end_s: float
    peak: float
    mean: float
    around: float
    salience: float

    def overlaps(self, other: _Proposal) -> bool:
        """Whether half of the shorter one lies in the other: two borders of the same moment."""
        shared_s = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        shorter_s = min(self.end_s - self.start_s, other.end_s - other.start_s)
        return shared_s >= shorter_s / 2

    def span(self, curve: tuple[float, ...]) -> Span:
        return Span(
            self.start_s,
            self.end_s,
            self.peak,
            {
                "peak_similarity": self.peak,
                "mean_similarity": self.mean,
                "surroundings": self.around,
                "salience": self.salience,
            },
            curve=curve,
        )


def _touched(
    segment: SegmentView, curve: NDArray[np.float32], proposal: _Proposal
) -> tuple[float, ...]:
    """The similarity of each clip that a span touches."""
    starts_s, ends_s = segment.times_s.T
    return tuple(curve[(starts_s < proposal.end_s) & (ends_s > proposal.start_s)].tolist())


class _Judge:
    """Says how much a span stands out on one curve."""

    def __init__(
        self, segment: SegmentView, curve: NDArray[np.float32], settings: WatershedSettings
    ) -> None:
        self._centres_s = segment.times_s.mean(axis=1)
        self._curve = curve
        self._sums = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
        self._background = segment.background
        self._settings = settings

    def proposal(self, start_s: float, end_s: float, of_scene: float | None = None) -> _Proposal:
        """Judge a span by its clips; a scene between two clip centres by its own similarity."""
        first, end = np.searchsorted(self._centres_s, [start_s, end_s]).tolist()
        if first < end:
            mean = float(self._sums[end] - self._sums[first]) / (end - first)
            peak = float(self._curve[first:end].max())
        else:
            first = int(np.abs(self._centres_s - (start_s + end_s) / 2).argmin())
            end = first + 1
            mean = peak = float(self._curve[first]) if of_scene is None else of_scene
        around = self._around(first, end)
        clips = (end_s - start_s) / CLIP_S
        prior = self._settings.prior_clips
        shrunk = (clips * mean + prior * self._background) / (clips + prior)
        return _Proposal(
            start_s,
            end_s,
            peak=peak,
            mean=mean,
            around=around,
            salience=shrunk + self._settings.contrast * (mean - around),
        )

    def _around(self, first: int, end: int) -> float:
        """Mean similarity of as many clips again before and after.

        Beyond the segment lies the background: a short film that matches as a whole stands out
        as much as a scene of a long one.
        """
        reach = end - first
        low, high = max(0, first - reach), min(len(self._centres_s), end + reach)
        missing = 2 * reach - (first - low) - (high - end)
        known = self._sums[high] - self._sums[low] - (self._sums[end] - self._sums[first])
        return (float(known) + missing * self._background) / (2 * reach)
