"""Average precision with all-point interpolation, of ranked windows and of scored clips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolated(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision at the same or a higher recall: (…, ranks), best rank first."""
    return np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]


def average_precision_of_ranking(
    right: NDArray[np.bool_], truths: NDArray[np.int64] | int
) -> NDArray[np.float64]:
    """Area under the interpolated precision-recall curve of a ranking (Pascal VOC from 2010 on).

    Args:
        right: (…, P): whether each prediction, best first, finds a true window of its own.
        truths: (…) how many true windows there are, found or not; at least 1.

    Returns:
        (…) in 0…1.
    """
    precision = np.cumsum(right, axis=-1) / np.arange(1, right.shape[-1] + 1)
    area: NDArray[np.float64] = (interpolated(precision) * right).sum(axis=-1) / truths
    return area


def average_precision_of_scores(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean interpolated precision over the recalls that thresholds on a score can reach.

    Items of equal score pass a threshold together. Without ties this is the usual average
    precision; with ties it is the mean over the distinct recalls, not over the positive items, as
    in QVHighlights' highlight detection (moment_detr, standalone_eval/utils.py).

    Args:
        positive: (…, N) labels; several annotators share the scores.
        scores: (N,), higher is more likely positive; N ≥ 1.

    Returns:
        (…) in 0…1; 0 where no item is positive.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    found = np.cumsum(positive[..., order], axis=-1)[..., last_of_tie]
    precision = interpolated(found / (last_of_tie + 1))
    recall_grows = np.diff(found, axis=-1, prepend=0) > 0
    steps = recall_grows.sum(axis=-1)
    mean: NDArray[np.float64] = (precision * recall_grows).sum(axis=-1) / np.maximum(steps, 1)
    return mean
