"""mAP and HIT@1 of predicted saliency, by how good a clip must be rated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.evaluation.average_precision import average_precision_of_scores
from search.evaluation.records import Highlights

LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
"""The least rating that makes a clip a highlight; papers report VeryGood."""

_LEAST = np.array(list(LEVELS.values()))[:, None, None]


@dataclass(frozen=True)
class HighlightFigures:
    """Means over queries and annotators, in 0…1."""

    mean_average_precision: float
    hit_at_1: float


def highlight_figures(
    queries: Sequence[tuple[NDArray[np.float64], Highlights]],
) -> dict[str, HighlightFigures]:
    """Score predicted saliency against ratings (moment_detr, standalone_eval/eval.py).

    Every annotator is a truth of its own for mAP; for HIT@1 it is enough if one of them rates the
    best clip well. Clips without a score count as 0.0, scores beyond the rated clips are cut, but
    a best clip beyond them is a miss.

    Args:
        queries: per query, predicted (C,) scores, C ≥ 1; and the ratings. At least one query.
    """
    precision = np.stack([_precision(scores, rated) for scores, rated in queries])
    hits = np.stack([_hit(scores, rated) for scores, rated in queries])
    return {
        level: HighlightFigures(float(precision[:, number].mean()), float(hits[:, number].mean()))
        for number, level in enumerate(LEVELS)
    }


def _precision(scores: NDArray[np.float64], rated: Highlights) -> NDArray[np.float64]:
    """(levels, annotators)."""
    fitted = np.zeros(rated.clips)
    count = min(rated.clips, len(scores))
    fitted[:count] = scores[:count]
    return average_precision_of_scores(rated.of_all_clips() >= _LEAST, fitted)


def _hit(scores: NDArray[np.float64], rated: Highlights) -> NDArray[np.bool_]:
    """(levels,)."""
    best = int(scores.argmax())
    if best >= rated.clips:
        return np.zeros(len(LEVELS), bool)
    hit: NDArray[np.bool_] = rated.of_all_clips()[:, best].max() >= _LEAST[:, 0, 0]
    return hit
