"""Whether probabilities mean what they say: reliability curve, calibration error, Brier score.

Of all hits that are said to be right with 30 %, three in ten should be. Hits are sorted into ten
bins of equal width by what was said; in each, the mean of what was said stands beside the share
that was right. ECE is the mean distance of the two, weighed by the hits of a bin (Naeini et al.,
AAAI 2015); Brier is the mean squared error of the probabilities (Brier, 1950).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures.bootstrap import Figure, Numbers, Sums, divided, mean
from benchmarks.measures.truth import Case

BINS = 10


def said_and_right(cases: Sequence[Case], first: int) -> tuple[list[Numbers], list[Numbers]]:
    """Of each question the probabilities of its first hits that count, and which of them are
    right (1) or not (0). Hits without a probability are left out."""
    said, right = [], []
    for case in cases:
        hits = [hit for hit in case.hits()[:first] if hit.probability is not None]
        said.append(np.array([hit.probability for hit in hits], np.float64))
        right.append(np.array([case.is_right(hit) for hit in hits], np.float64))
    return said, right


def figures(said: Sequence[Numbers], right: Sequence[Numbers]) -> dict[str, Figure]:
    """ECE and Brier score; a question with all its hits is the unit that is drawn again."""
    if not any(map(len, said)):
        return {}
    hits = np.array([len(of_question) for of_question in said], np.float64)
    errors = [
        float(np.mean((p - r) ** 2)) if len(p) else np.nan for p, r in zip(said, right, strict=True)
    ]
    parts = np.stack([_by_bin(p, r).ravel() for p, r in zip(said, right, strict=True)])
    return {
        "ECE": Sums(parts, _expected_error),
        "Brier": mean(np.array(errors), hits, scale=1.0),
    }


def reliability(said: Numbers, right: Numbers) -> list[dict[str, Any]]:
    """The curve, bins without hits left out; `said` in 0...1 and `right` are (hits,)."""
    edges = np.linspace(0, 1, BINS + 1)
    rows = zip(edges[:-1], edges[1:], _by_bin(said, right), strict=True)
    return [
        {
            "said": f"{low:.1f}-{high:.1f}",
            "hits": int(count),
            "mean said": round(sum_said / count, 3),
            "right": round(sum_right / count, 3),
        }
        for low, high, (count, sum_said, sum_right) in rows
        if count
    ]


def _by_bin(said: Numbers, right: Numbers) -> Numbers:
    """(BINS, 3): how many hits, the sum of what was said, and how many were right."""
    bins: NDArray[np.int64] = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    table = np.zeros((BINS, 3))
    np.add.at(table, bins, np.stack([np.ones(len(said)), said, right], axis=1))
    return table


def _expected_error(sums: Numbers) -> Numbers:
    table = sums.reshape(*sums.shape[:-1], BINS, 3)
    distance = np.abs(table[..., 1] - table[..., 2]).sum(axis=-1)
    return divided(distance, table[..., 0].sum(axis=-1))
