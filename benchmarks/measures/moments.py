"""How well the right moment of a tape is found: R1, R5, mean IoU, and mAP by length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures.bootstrap import Figure, mean
from benchmarks.measures.truth import Case, Found, best_iou
from search.evaluation.moment_retrieval import LENGTHS_S, moment_figures

IOU_AT = (0.3, 0.5, 0.7)
RECALL_AT = (1, 5)

_APART_S = 1e6
"""Films are laid one after another so far apart that no two windows of different ones meet."""

_NOTHING = np.zeros((1, 3))
"""In place of no hits: a window without length, which overlaps nothing."""


def figures(cases: Sequence[Case]) -> dict[str, Figure]:
    """Of questions that are true somewhere in their archive, each archive's question a unit.

    - Rk@t: one of the first k hits has IoU >= t with a true window.
    - mIoU: mean of the first hit's best IoU.
    - mAP, and mAP short (up to 10 s), middle (to 30 s), long (over 30 s): as QVHighlights has it
      (`search.evaluation`): mean over IoU 0.5 to 0.95 of the average precision of the first ten
      hits. A question belongs to a length with its true windows of that length.
    """
    ious = np.array([_best_ious(case) for case in cases]).reshape(-1, max(RECALL_AT))
    found: dict[str, Figure] = {
        f"R{k}@{at:g}": mean(ious[:, :k].max(axis=1) >= at) for k in RECALL_AT for at in IOU_AT
    }
    found["mIoU"] = mean(ious[:, 0])
    precision = [_average_precision(case) for case in cases]
    for length in LENGTHS_S:
        name = "mAP" if length == "full" else f"mAP {length}"
        found[name] = mean(np.array([of_case[length] for of_case in precision]))
    return found


def _best_ious(case: Case) -> list[float]:
    """Best IoU of each of the first hits; 0 for those that were not found."""
    hits = case.hits()[: max(RECALL_AT)]
    found = [best_iou(hit.window, case.truths.get(hit.file, ())) for hit in hits]
    return found + [0.0] * (max(RECALL_AT) - len(found))


def _average_precision(case: Case) -> dict[str, float]:
    """By length of the true windows; nan where the question has none of a length."""
    offset_s = {file: number * _APART_S for number, file in enumerate(case.truths)}
    true = [
        (start_s + offset_s[file], end_s + offset_s[file])
        for file, windows in case.truths.items()
        for start_s, end_s in windows
    ]
    listed = _listed(case.hits(), offset_s)
    by_length = moment_figures([(listed, np.array(true, np.float64))])
    return {length: float(split.average_precision.mean()) for length, split in by_length.items()}


def _listed(hits: Sequence[Found], offset_s: Mapping[str, float]) -> NDArray[np.float64]:
    """(hits, 3), those in other films than the true ones before the time of all of them."""
    if not hits:
        return _NOTHING
    shifts = np.array([offset_s.get(hit.file, -_APART_S) for hit in hits])
    rows = np.array([(hit.start_s, hit.end_s, hit.score) for hit in hits], np.float64)
    rows[:, :2] += shifts[:, np.newaxis]
    return rows
