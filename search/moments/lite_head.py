"""The trained moment head that ships with the default encoder (docs/adr/0017).

A QD-DETR network reads the clips, the curve of similarity and the cuts, and names spans. They
stand beside the scenes and the stretches where curves lie high; a scorer weighs what speaks for
each, and says how likely it is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.graph import open_graph
from search.moments.bank import Bank
from search.moments.base import SegmentView, Span
from search.moments.evidence import EVIDENCE, Leaders, Reading, evidence
from search.moments.lite_inputs import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    curves,
    text_input,
    video_input,
    width,
)
from search.moments.proposals import proposals
from search.moments.qd_detr_inputs import padded, spans
from search.moments.scorer import Best, Judged, Scorer
from search.text.base import EncodedQuery
from storage.errors import BundleError
from storage.records import CLIP_S

SEGMENTS_AT_ONCE = 16
MOMENTS = 5
"""At most so many moments of one segment, apart from each other."""

_SHOWN = ("saliency_mean", "saliency_peak", "archive_peak", "bank_peak", "network", "exists")
"""The evidence that `--json` shows of a hit."""
_SHOWN_AT = [EVIDENCE.index(name) for name in _SHOWN]


class LiteHead:
    """Reads segments, proposes spans and says how likely each is right."""

    def __init__(self, file: Path, bank: Bank, scorer: Scorer | None, head_id: str) -> None:
        """Load the network.

        Args:
            scorer: None only while the scorer itself is being fitted; `find_all` needs it.

        Raises:
            BundleError: the file cannot be loaded, or holds a network for other widths.
        """
        try:
            self._session = open_graph(file)
        except Exception as error:  # onnxruntime raises bare Exception subclasses
            raise BundleError(
                f"The moment head {head_id!r} cannot be loaded from {file} ({error}): install it "
                "again."
            ) from error
        widths = {put.name: put.shape[-1] for put in self._session.get_inputs()}
        if (widths.get("src_vid"), widths.get("src_txt")) != (width(bank.dim), bank.dim):
            raise BundleError(
                f"{file} is not the network that belongs to a bank of {bank.dim} numbers a "
                f"vector: install the moment head {head_id!r} again."
            )
        self._bank = bank
        self._scorer = scorer
        self._head_id = head_id

    @property
    def head_id(self) -> str:
        return self._head_id

    @property
    def min_confidence(self) -> float | None:
        """The probability below which a hit is best not shown as one, if it was measured."""
        return None if self._scorer is None else float(self._scorer.least[0])

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        """The moments of each segment, the likeliest first.

        How a segment does beside the others is part of the evidence: hand over all that are
        searched at once.
        """
        assert self._scorer is not None, "a head without scorer only reads"
        readings = self.read(segments, query)
        if not readings:
            return []
        leaders = Leaders.of(readings)
        found = [_Found.of(reading, leaders, self._scorer) for reading in readings]
        of_all = Best.of([segment.judged for segment in found])
        return [
            _moments(segment, self._scorer.probability(segment.judged, of_all)) for segment in found
        ]

    def read(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[Reading]:
        """What the network and the curves say of each segment."""
        asked = self._bank.of_sentences(query.pooled[np.newaxis])
        words = text_input(query)
        readings: list[Reading] = []
        for first in range(0, len(segments), SEGMENTS_AT_ONCE):
            some = segments[first : first + SEGMENTS_AT_ONCE]
            seen = [curves(segment, query, self._bank, asked) for segment in some]
            videos = [video_input(*pair) for pair in zip(some, seen, strict=True)]
            arrays = (*padded([words] * len(some)), *padded(videos))
            outputs = self._session.run(OUTPUT_NAMES, dict(zip(INPUT_NAMES, arrays, strict=True)))
            for segment, shown, logits, boxes, saliency, exists in zip(
                some, seen, *outputs, strict=True
            ):
                clips = len(segment.vectors)
                named = spans(logits, boxes, duration_s=clips * CLIP_S)
                named[:, :2] += np.float32(segment.times_s[0, 0])
                readings.append(
                    Reading(segment, shown, saliency[:clips], named, float(exists), len(words))
                )
        return readings


@dataclass(frozen=True, repr=False)
class _Found:
    """The proposed spans of one segment."""

    reading: Reading
    spans_s: NDArray[np.float64]
    """(n, 2)"""
    evidence: NDArray[np.float32]
    """(n, len(EVIDENCE))"""
    judged: Judged

    @staticmethod
    def of(reading: Reading, leaders: Leaders, scorer: Scorer) -> _Found:
        spans_s = proposed(reading)
        facts = evidence(reading, spans_s, leaders)
        return _Found(reading, spans_s, facts, scorer.judged(facts))


def _moments(found: _Found, probability: NDArray[np.float32]) -> list[Span]:
    return [
        _span(found.reading, found.spans_s[row], found.evidence[row], float(probability[row]))
        for row in apart(found.spans_s, found.judged.order)
    ]


def apart(spans_s: NDArray[np.float64], order: NDArray[np.float32]) -> list[int]:
    """Rows of spans (n, 2), the highest in `order` (n,) first: of those that share half of the
    shorter one only the best, and at most MOMENTS.
    """
    kept: list[int] = []
    free = np.ones(len(spans_s), bool)
    for row in np.argsort(-order, kind="stable").tolist():
        if free[row]:
            kept.append(row)
            free &= ~_same_moment(spans_s, spans_s[row])
        if len(kept) == MOMENTS:
            break
    return kept


def proposed(reading: Reading) -> NDArray[np.float64]:
    """Every span of a segment that the scorer is asked about, (n, 2)."""
    return proposals(
        reading.segment,
        (reading.curves.similarity, reading.saliency),
        reading.spans_s[:, :2],
    )


def _same_moment(spans_s: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of spans (n, 2) share half of the shorter one with another span."""
    starts_s, ends_s = spans_s.T
    shared_s = np.minimum(ends_s, other[1]) - np.maximum(starts_s, other[0])
    same: NDArray[np.bool_] = shared_s >= np.minimum(ends_s - starts_s, other[1] - other[0]) / 2
    return same


def _span(
    reading: Reading,
    span_s: NDArray[np.float64],
    facts: NDArray[np.float32],
    probability: float,
) -> Span:
    start_s, end_s = span_s.tolist()
    starts_s, ends_s = reading.segment.times_s.T
    touched = (ends_s > start_s) & (starts_s < end_s)
    named = dict(zip(_SHOWN, facts[_SHOWN_AT].tolist(), strict=True))
    return Span(
        start_s,
        end_s,
        probability,
        {"head_probability": probability, **named},
        probability,
        tuple(reading.saliency[touched].tolist()),
    )
