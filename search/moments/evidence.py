"""What speaks for and against a proposed span, as numbers that compare over segments and films."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView
from search.moments.lite_inputs import CHANNELS, Curves
from storage.records import CLIP_S

EVIDENCE = (
    "bank_mean",
    "bank_peak",
    "bank_low",
    "archive_mean",
    "archive_peak",
    "sentences_mean",
    "sentences_peak",
    "better_words",
    "contrast",
    "salience",
    "before",
    "after",
    "saliency_mean",
    "saliency_peak",
    "saliency_low",
    "saliency_around",
    "saliency_elsewhere",
    "network",
    "network_overlap",
    "exists",
    "length",
    "share",
    "starts_on_cut",
    "ends_on_cut",
    "cuts_inside",
    "coherence",
    "like_before",
    "like_after",
    "scene_peak",
    "bank_top",
    "words",
    "segment_lead",
    "archive_lead",
    "saliency_lead",
    "exists_lead",
    "segments",
)
"""Names of the numbers, in their order."""

OF_NETWORK = (
    "saliency_mean",
    "saliency_peak",
    "saliency_low",
    "saliency_around",
    "saliency_elsewhere",
    "network",
    "network_overlap",
    "exists",
    "saliency_lead",
    "exists_lead",
)
"""Those of them that are the network's opinion; the rest are facts of curves and cuts."""

_NEAR_CUT_S = 0.1


@dataclass(frozen=True, repr=False)
class Reading:
    """A segment as the network read it for one sentence."""

    segment: SegmentView
    curves: Curves
    saliency: NDArray[np.float32]
    """(clips,), logits."""
    spans_s: NDArray[np.float32]
    """(queries, 3): start and end in the film's time, foreground probability."""
    exists: float
    """Logit."""
    words: int
    """Tokens of the sentence."""


@dataclass(frozen=True)
class Leaders:
    """The best of all segments that were read for one sentence."""

    against_archive: float
    saliency: float
    exists: float
    segments: int

    @staticmethod
    def of(readings: list[Reading]) -> Leaders:
        return Leaders(
            max(float(reading.curves.against_archive.max()) for reading in readings),
            max(float(reading.saliency.max()) for reading in readings),
            max(reading.exists for reading in readings),
            len(readings),
        )


def evidence(
    reading: Reading, spans_s: NDArray[np.float64], leaders: Leaders
) -> NDArray[np.float32]:
    """(n, len(EVIDENCE)) for spans (n, 2) of the segment."""
    segment, curves = reading.segment, reading.curves
    saliency = 1.0 / (1.0 + np.exp(-reading.saliency.astype(np.float64)))
    within = _Within(segment, spans_s)
    bank, archive, said = curves.against_bank, curves.against_archive, curves.against_sentences
    better = curves.channels[:, CHANNELS.index("against_sentences_top")]
    scene = curves.channels[:, CHANNELS.index("scene_against_archive")]
    before, after = within.before(archive), within.after(archive)
    archive_mean = within.mean(archive, curves.scenes_against_archive)
    contrast = archive_mean - within.around(archive)
    length_s = spans_s[:, 1] - spans_s[:, 0]
    overlap, network = _named(reading.spans_s, spans_s)
    coherence, like_before, like_after = within.likeness()
    cuts_s = np.unique(segment.scenes_s)
    inside = (cuts_s > spans_s[:, :1] + _NEAR_CUT_S) & (cuts_s < spans_s[:, 1:] - _NEAR_CUT_S)
    rows = np.ones(len(spans_s))
    archive_peak = within.peak(archive, curves.scenes_against_archive)
    of_scenes = curves.scenes_against_bank
    columns = {
        "bank_mean": within.mean(bank, of_scenes),
        "bank_peak": within.peak(bank, of_scenes),
        "bank_low": -within.peak(-bank, -of_scenes),
        "archive_mean": archive_mean,
        "archive_peak": archive_peak,
        "sentences_mean": within.mean(said),
        "sentences_peak": within.peak(said),
        "better_words": within.peak(better),
        "contrast": contrast,
        # What the training-free head goes by: a mean shrunk towards chance, and the contrast.
        "salience": archive_mean * length_s / (length_s + CLIP_S) + 0.5 * contrast,
        "before": within.first(archive) - before,
        "after": within.last(archive) - after,
        "saliency_mean": within.mean(saliency),
        "saliency_peak": within.peak(saliency),
        "saliency_low": -within.peak(-saliency),
        "saliency_around": within.around(saliency),
        "saliency_elsewhere": within.elsewhere(saliency),
        "network": network,
        "network_overlap": overlap,
        "exists": rows * reading.exists,
        "length": np.log(length_s),
        "share": length_s / (segment.times_s[-1, 1] - segment.times_s[0, 0]),
        "starts_on_cut": np.abs(cuts_s - spans_s[:, :1]).min(axis=1) < _NEAR_CUT_S,
        "ends_on_cut": np.abs(cuts_s - spans_s[:, 1:]).min(axis=1) < _NEAR_CUT_S,
        "cuts_inside": np.log1p(inside.sum(axis=1)),
        "coherence": coherence,
        "like_before": like_before,
        "like_after": like_after,
        "scene_peak": within.peak(scene),
        "bank_top": rows * curves.channels[0, CHANNELS.index("bank_top")],
        "words": rows * np.log(reading.words),
        "segment_lead": archive_peak - float(archive.max()),
        "archive_lead": archive_peak - leaders.against_archive,
        "saliency_lead": within.peak(reading.saliency) - leaders.saliency,
        "exists_lead": rows * (reading.exists - leaders.exists),
        "segments": rows * np.log(leaders.segments),
    }
    return np.stack([columns[name] for name in EVIDENCE], axis=1).astype(np.float32)


class _Within:
    """Means and peaks of curves (clips,) inside and around spans (n, 2), all (n,).

    A span between the middles of two clips holds no clip: the nearest one stands in. If it is a
    scene, its own frame was looked at all the same, and what that says is given as `of_scenes`,
    (scenes,).
    """

    def __init__(self, segment: SegmentView, spans_s: NDArray[np.float64]) -> None:
        middles_s = segment.times_s.mean(axis=1)
        first = np.searchsorted(middles_s, spans_s[:, 0])
        end = np.searchsorted(middles_s, spans_s[:, 1])
        nearest = np.abs(middles_s[:, np.newaxis] - spans_s.mean(axis=1)).argmin(axis=0)
        self._lonely = first >= end
        self._first = np.where(self._lonely, nearest, first)
        self._end = np.where(self._lonely, nearest + 1, end)
        self._clips = len(middles_s)
        same = np.abs(segment.scenes_s[np.newaxis] - spans_s[:, np.newaxis]).max(axis=2)
        self._scene = same.argmin(axis=1)
        self._by_scene = self._lonely & (same.min(axis=1) < _NEAR_CUT_S)
        self._vectors = segment.vectors

    def mean(
        self, curve: NDArray[np.floating], of_scenes: NDArray[np.floating] | None = None
    ) -> NDArray[np.float64]:
        sums = _sums(curve)
        means = (sums[self._end] - sums[self._first]) / (self._end - self._first)
        return self._or_scene(np.asarray(means), of_scenes)

    def _or_scene(
        self, found: NDArray[np.float64], of_scenes: NDArray[np.floating] | None
    ) -> NDArray[np.float64]:
        if of_scenes is None:
            return found
        return np.where(self._by_scene, of_scenes[self._scene], found)

    def peak(
        self, curve: NDArray[np.floating], of_scenes: NDArray[np.floating] | None = None
    ) -> NDArray[np.float64]:
        bounds = np.stack([self._first, np.minimum(self._end, self._clips)], axis=1)
        padded = np.append(curve.astype(np.float64), -np.inf)
        peaks: NDArray[np.float64] = np.maximum.reduceat(padded, bounds.ravel())[::2]
        return self._or_scene(peaks, of_scenes)

    def first(self, curve: NDArray[np.floating]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = curve[self._first].astype(np.float64)
        return values

    def last(self, curve: NDArray[np.floating]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = curve[self._end - 1].astype(np.float64)
        return values

    def before(self, curve: NDArray[np.floating]) -> NDArray[np.float64]:
        """The clip before the span; at the segment's start the lowest of the curve."""
        values = curve[np.maximum(self._first - 1, 0)].astype(np.float64)
        return np.where(self._first > 0, values, float(curve.min()))

    def after(self, curve: NDArray[np.floating]) -> NDArray[np.float64]:
        values = curve[np.minimum(self._end, self._clips - 1)].astype(np.float64)
        return np.where(self._end < self._clips, values, float(curve.min()))

    def around(self, curve: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean of as many clips again before and after; of the background (0) beyond the ends."""
        sums = _sums(curve)
        reach = self._end - self._first
        low, high = np.maximum(0, self._first - reach), np.minimum(self._clips, self._end + reach)
        total = sums[high] - sums[low] - (sums[self._end] - sums[self._first])
        return np.asarray(total / (2 * reach))

    def elsewhere(self, curve: NDArray[np.floating]) -> NDArray[np.float64]:
        """The highest of all other clips of the segment; 0 where there are none."""
        up_to = np.concatenate([[0.0], np.maximum.accumulate(curve)])
        since = np.concatenate([np.maximum.accumulate(curve[::-1])[::-1], [0.0]])
        others: NDArray[np.float64] = np.maximum(up_to[self._first], since[self._end])
        return others

    def likeness(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """How like their mean the clips of a span are, and the clips just before and after it."""
        sums = np.concatenate([np.zeros((1, self._vectors.shape[1])), self._vectors.cumsum(axis=0)])
        means = sums[self._end] - sums[self._first]
        lengths = np.linalg.norm(means, axis=1)
        coherence = lengths / (self._end - self._first)
        means = means / np.maximum(lengths, 1e-6)[:, np.newaxis]
        before = (self._vectors[np.maximum(self._first - 1, 0)] * means).sum(axis=1)
        after = (self._vectors[np.minimum(self._end, self._clips - 1)] * means).sum(axis=1)
        return (
            coherence,
            np.where(self._first > 0, before, 0.0),
            np.where(self._end < self._clips, after, 0.0),
        )


def _sums(curve: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])


def _named(
    network: NDArray[np.float32], spans_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each span: how well the network's surest span that overlaps it fits, and how sure it is.

    Both are taken from the span with the highest product of IoU and probability.
    """
    overlaps = ious(spans_s, network[:, :2].astype(np.float64))
    best = (overlaps * network[:, 2]).argmax(axis=1)
    rows = np.arange(len(spans_s))
    return overlaps[rows, best], overlaps[rows, best] * network[best, 2]


def ious(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m): intersection over union of spans (n, 2) and (m, 2)."""
    shared = np.minimum(some[:, None, 1], others[None, :, 1]) - np.maximum(
        some[:, None, 0], others[None, :, 0]
    )
    shared = shared.clip(min=0.0)
    lengths = (some[:, 1] - some[:, 0])[:, None] + (others[:, 1] - others[:, 0])[None]
    return np.asarray(shared / np.maximum(lengths - shared, 1e-9))
