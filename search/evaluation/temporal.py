"""Overlap of time windows, and which predicted window finds which true one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def temporal_iou(windows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every window with every other.

    Args:
        windows: (P, 2) start and end in seconds, end ≥ start.
        others: (G, 2), likewise.

    Returns:
        (P, G) in 0…1. Two windows without length share nothing: 0.
    """
    shared = np.minimum(windows[:, None, 1], others[:, 1]) - np.maximum(
        windows[:, None, 0], others[:, 0]
    )
    shared = np.maximum(shared, 0.0)
    lengths, other_lengths = windows[:, 1] - windows[:, 0], others[:, 1] - others[:, 0]
    union = lengths[:, None] + other_lengths - shared
    iou: NDArray[np.float64] = np.zeros_like(union)
    np.divide(shared, union, out=iou, where=union > 0)
    return iou


def matched(iou: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which ranked predictions find a true window that no better-ranked one has found.

    In the order of their rank, predictions take the free true window that they overlap most, if by
    the threshold at least; among equal overlaps the later window. This is the rule of the
    ActivityNet and QVHighlights evaluations (moment_detr, standalone_eval/utils.py).

    Args:
        iou: (…, P, G), predictions best first. A true window with a negative IoU to all
            predictions is not there.
        thresholds: (T,), each above 0.

    Returns:
        (…, T, P): whether prediction P is right at threshold T.
    """
    *batch, predictions, truths = iou.shape
    columns = np.arange(truths)
    free = np.ones((*batch, len(thresholds), truths), bool)
    right = np.zeros((*batch, len(thresholds), predictions), bool)
    for rank in range(predictions):
        overlap = iou[..., rank, None, :]
        near = free & (overlap >= thresholds[:, None])
        choice = truths - 1 - np.where(near, overlap, -1.0)[..., ::-1].argmax(axis=-1)
        taken = near & (columns == choice[..., None])
        right[..., rank] = taken.any(axis=-1)
        free &= ~taken
    return right
