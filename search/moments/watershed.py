"""The training-free moment head: levels of the similarity curve, and the cuts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView, Span
from search.text.base import EncodedQuery


class Watershed:
    head_id = "watershed"

    def find(self, segment: SegmentView, query: EncodedQuery) -> list[Span]:
        scores = segment.scene_vectors @ query.pooled
        return [
            Span(float(s), float(e), float(v), {"head_score": float(v)})
            for (s, e), v in zip(segment.scenes_s, scores, strict=True)
        ]
