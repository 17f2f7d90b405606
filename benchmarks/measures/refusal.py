"""How well a search says that nothing matches: precision and recall of refusals, and the AUC.

A refusal is right when the question is true nowhere in the archive, not even arguably. A question
that is true on no more than the other tape is absent from this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures.bootstrap import Figure, Numbers, Separation, Sums, divided
from benchmarks.measures.truth import Answer, Case

NOTHING_FOUND = -np.inf
"""Sureness of an answer without hits."""


def figures(cases: Sequence[Case]) -> dict[str, Figure]:
    """Of refusals by default: precision, recall and F1; and how well the best hit's sureness
    separates questions that are true somewhere from those that are not (absent AUC)."""
    absent = np.array([case.is_absent for case in cases], bool)
    refused = np.array([case.answer.refused for case in cases], bool)
    sure = sureness(cases)
    return {
        **of_refusals(absent, refused),
        "absent AUC": Separation(sure[~absent], sure[absent], 1),
    }


def of_refusals(absent: NDArray[np.bool_], refused: NDArray[np.bool_]) -> dict[str, Figure]:
    """Arguments: (questions,) whether it is true nowhere, and whether it was refused."""
    right, wrong, missed = absent & refused, ~absent & refused, absent & ~refused
    counts = np.stack([right, wrong, missed, ~absent & ~refused], axis=1).astype(np.float64)
    return {
        "refusal precision": Sums(counts, _precision),
        "refusal recall": Sums(counts, _recall),
        "refusal F1": Sums(counts, _f1),
    }


def sureness(cases: Sequence[Case]) -> Numbers:
    """(questions,): how sure the search is of its best hit: by probability, else by score."""
    return np.array([_sureness(case.answer) for case in cases], np.float64)


@dataclass(frozen=True)
class BestThreshold:
    """The threshold on sureness that would have done best on the very questions it is measured on:
    what no shipped threshold can beat. For reference only."""

    threshold: float
    """Refuse where sureness is below."""
    precision: float
    recall: float
    f1: float


def best_threshold(sure: Numbers, absent: NDArray[np.bool_]) -> BestThreshold:
    """Arguments: (questions,) sureness, and whether it is true nowhere (of at least one it is)."""
    order = np.argsort(sure, kind="stable")
    ranked = sure[order]
    last_of_tie = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    right = np.cumsum(absent[order])[last_of_tie].astype(np.float64)
    refused = last_of_tie + 1.0
    f1 = 2 * right / (refused + np.count_nonzero(absent))
    best = int(f1.argmax())
    above = ranked[last_of_tie[best] + 1 :]
    return BestThreshold(
        threshold=float(above[0]) if len(above) else float("inf"),
        precision=float(right[best] / refused[best]),
        recall=float(right[best] / np.count_nonzero(absent)),
        f1=float(f1[best]),
    )


def _sureness(answer: Answer) -> float:
    probable = [hit.probability for hit in answer.hits if hit.probability is not None]
    if probable:
        return max(probable)
    return max((hit.score for hit in answer.hits), default=NOTHING_FOUND)


def _precision(sums: Numbers) -> Numbers:
    right, wrong = sums[..., 0], sums[..., 1]
    return divided(right, right + wrong)


def _recall(sums: Numbers) -> Numbers:
    right, missed = sums[..., 0], sums[..., 2]
    return divided(right, right + missed)


def _f1(sums: Numbers) -> Numbers:
    right, wrong, missed = sums[..., 0], sums[..., 1], sums[..., 2]
    return divided(2 * right, 2 * right + wrong + missed)
