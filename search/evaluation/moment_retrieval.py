"""R1 and mAP of predicted windows, for short, middle, long and all true windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.evaluation.average_precision import average_precision_of_ranking
from search.evaluation.temporal import matched, temporal_iou

IOU_THRESHOLDS = np.array([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])

LENGTHS_S = {
    "full": (-np.inf, np.inf),
    "long": (30.0, 150.0),
    "middle": (10.0, 30.0),
    "short": (0.0, 10.0),
}
"""Lengths of the true windows of each split: above the first number, up to the second."""

MAX_WINDOWS = 10
"""So many predicted windows of a query count for mAP: the first of the list, not the best."""

_LOWER, _UPPER = np.array(list(LENGTHS_S.values())).T


@dataclass(frozen=True, eq=False)
class SplitFigures:
    """Means over the queries that have a true window of the split's lengths, in 0…1."""

    recall_at_1: NDArray[np.float64]
    """(10,) by IoU threshold; nan if there is no such query."""
    average_precision: NDArray[np.float64]
    """(10,), likewise."""


def moment_figures(
    windows: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> dict[str, SplitFigures]:
    """Score predicted windows against true ones (moment_detr, standalone_eval/eval.py).

    A query belongs to a split with its true windows of those lengths; predictions are never left
    out for their length. R1 asks for the best overlap of the first window of the list. mAP takes
    the first ten of the list, sorted by score.

    Args:
        windows: per query, predicted (P, 3) with start, end in seconds and score, P ≥ 1; and true
            (G, 2), G ≥ 1.
    """
    queries, splits, thresholds = len(windows), len(LENGTHS_S), len(IOU_THRESHOLDS)
    takes_part = np.zeros((queries, splits), bool)
    recalled = np.zeros((queries, splits, thresholds), bool)
    precision = np.zeros((queries, splits, thresholds))
    for query, (predicted, true) in enumerate(windows):
        lengths_s = true[:, 1] - true[:, 0]
        wanted = (_LOWER[:, None] < lengths_s) & (lengths_s <= _UPPER[:, None])
        listed = predicted[:MAX_WINDOWS]
        overlap = temporal_iou(listed, true)
        iou = np.where(wanted[:, None, :], overlap, -1.0)  # (splits, P, G)
        recalled[query] = iou[:, 0].max(axis=-1, keepdims=True) >= IOU_THRESHOLDS
        by_score = np.argsort(-listed[:, 2], kind="stable")
        truths = wanted.sum(axis=1)
        takes_part[query] = truths > 0
        precision[query] = average_precision_of_ranking(
            matched(iou[:, by_score], IOU_THRESHOLDS), np.maximum(truths, 1)[:, None]
        )
    return {
        name: SplitFigures(
            _mean(recalled[chosen, split]),
            _mean(precision[chosen, split]),
        )
        for split, (name, chosen) in enumerate(zip(LENGTHS_S, takes_part.T, strict=True))
    }


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the queries; nan without any."""
    if not len(values):
        return np.full(values.shape[1], np.nan)
    mean: NDArray[np.float64] = values.mean(axis=0, dtype=np.float64)
    return mean
