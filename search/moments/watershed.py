"""The training-free moment head: levels of the similarity curve, and the cuts.

Spans are where the curve of similarity between clips and sentence lies above one of several
levels, after the watershed proposals of Diwan et al., "Zero-shot Video Moment Retrieval with
Off-the-Shelf Models" (2023). Films are cut where something else begins, so a border near a cut
falls on it, and every scene is a span too. The constants were chosen on tapes composed of
held-out photos (training/tapes.py), figures in docs/adr/0009.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView, Span
from search.text.base import EncodedQuery
from storage.records import CLIP_S


@dataclass(frozen=True)
class WatershedSettings:
    """The constants, with the values that did best on composed tapes."""

    scene_weight: float = 0.5
    """Share of the scene's similarity in a clip's: a scene's mean vector is less noisy."""
    levels: tuple[float, ...] = (0.3, 0.45, 0.6, 0.75, 0.9)
    """Heights between the segment's median similarity (0) and its peak (1)."""
    prior_clips: float = 0.5
    """Weight, in clips, of the background in a span's score: one lucky clip is not yet a moment."""
    contrast: float = 0.5
    """Weight of how far a span stands out from what lies just before and after it."""
    snap_s: float = 2.0
    """A border this near to a cut falls on it: borders of clips are no finer than that."""


class Watershed:
    """Proposes level sets and scenes, and scores them by their mean similarity."""

    head_id = "watershed"

    def __init__(self, settings: WatershedSettings | None = None) -> None:
        self._settings = settings or WatershedSettings()

    def find(self, segment: SegmentView, query: EncodedQuery) -> list[Span]:
        curve = self._curve(segment, query.pooled)
        proposals = dict.fromkeys([*self._scenes(segment), *self._level_sets(segment, curve)])
        scorer = _Scorer(segment, curve, self._settings)
        spans = [scorer.span(start_s, end_s) for start_s, end_s in proposals]
        return sorted(spans, key=lambda span: (-span.score, span.start_s, span.end_s))

    def _curve(self, segment: SegmentView, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarity of each clip, drawn towards that of the scene its centre lies in, (clips,)."""
        of_scenes = segment.scene_vectors @ query
        centres_s = segment.times_s.mean(axis=1)
        scene = np.searchsorted(segment.scenes_s[:, 1], centres_s, side="right")
        scene = np.minimum(scene, len(of_scenes) - 1)
        weight = np.float32(self._settings.scene_weight)
        curve: NDArray[np.float32] = (1 - weight) * (segment.vectors @ query) + weight * of_scenes[
            scene
        ]
        return curve

    def _scenes(self, segment: SegmentView) -> list[tuple[float, float]]:
        return [(start_s, end_s) for start_s, end_s in segment.scenes_s.tolist()]

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


class _Scorer:
    """Scores spans on one curve."""

    def __init__(
        self, segment: SegmentView, curve: NDArray[np.float32], settings: WatershedSettings
    ) -> None:
        self._centres_s = segment.times_s.mean(axis=1)
        self._sums = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
        self._background = segment.background
        self._settings = settings

    def span(self, start_s: float, end_s: float) -> Span:
        first, end = self._clips(start_s, end_s)
        inside = self._mean_of(first, end)
        around = self._around(first, end)
        clips = (end_s - start_s) / CLIP_S
        prior = self._settings.prior_clips
        score = (clips * inside + prior * self._background) / (clips + prior)
        score += self._settings.contrast * (inside - around)
        return Span(start_s, end_s, score, {"span_similarity": inside, "surroundings": around})

    def _clips(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Range of the clips whose centre lies in the span; the nearest one if there is none."""
        first, end = np.searchsorted(self._centres_s, [start_s, end_s]).tolist()
        if first == end:
            first = int(np.abs(self._centres_s - (start_s + end_s) / 2).argmin())
            end = first + 1
        return first, end

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

    def _mean_of(self, first: int, end: int) -> float:
        return float(self._sums[end] - self._sums[first]) / (end - first)
