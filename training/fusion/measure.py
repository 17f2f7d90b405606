"""How well a rule answers: figures by kind of question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.moments.base import Span
from search.ranking import temporal_iou
from training.fusion.cases import Case
from training.fusion.questions import ABSENT, BOTH, PICTURE, SOUND
from training.fusion.rules import Ranking

ANSWERED = (PICTURE, SOUND, BOTH)
RIGHT_IOU = 0.5
RIGHT_FROM = 0.3
"""IoU from which on a moment counts as right where probabilities are judged."""


@dataclass(frozen=True)
class Figures:
    """Of one rule. All percentages but the last two."""

    recall: dict[str, float]
    """R1 at IoU 0.5 by kind: the first answer against the nearest true stretch."""
    miou: dict[str, float]
    """Mean IoU of the same, by kind."""
    absent: float
    """Mean score of the first answer to a question about a sound that is not there."""
    present: float
    """The same for one that is."""

    @property
    def mean_recall(self) -> float:
        return float(np.mean(list(self.recall.values())))

    @property
    def mean_miou(self) -> float:
        return float(np.mean(list(self.miou.values())))

    def row(self) -> str:
        """Recall and mIoU by kind, then their means."""
        pairs = [f"{self.recall[kind]:5.1f} {self.miou[kind]:5.1f}" for kind in ANSWERED]
        return " | ".join([*pairs, f"{self.mean_recall:5.1f} {self.mean_miou:5.1f}"])


def figures(cases: Sequence[Case], ranking: Ranking) -> Figures:
    """Rank every case by the rule and compare."""
    ious: dict[str, list[float]] = {kind: [] for kind in ANSWERED}
    scores: dict[str, list[float]] = {SOUND: [], ABSENT: []}
    for case in cases:
        kind = case.question.kind
        first = max(ranking(case), key=lambda span: span.score)
        if kind in scores:
            scores[kind].append(first.score)
        if kind in ious:
            ious[kind].append(best_iou(first, case))
    return Figures(
        {kind: 100 * float(np.mean(np.array(v) >= RIGHT_IOU)) for kind, v in ious.items()},
        {kind: 100 * float(np.mean(values)) for kind, values in ious.items()},
        float(np.mean(scores[ABSENT])),
        float(np.mean(scores[SOUND])),
    )


def best_iou(span: Span, case: Case) -> float:
    """With the nearest of the true stretches."""
    truths = (Span(start_s, end_s, 0.0, {}) for start_s, end_s in case.question.answers)
    return max(temporal_iou(span, truth) for truth in truths)


def fitted_similarity(cases: Sequence[Case], most: int = 10) -> tuple[float, float]:
    """`steepness` and `even_at` of `search.fusion.Similarity`: logistic regression on how far the
    first moments of a head that gives cosines lie above chance, in questions about pictures.
    """
    above, right = [], []
    for case in cases:
        if case.question.kind == PICTURE:
            for span in case.seen[:most]:
                above.append((span.score - case.background) / case.deviation)
                right.append(best_iou(span, case) >= RIGHT_FROM)
    rows = np.stack([np.array(above), np.ones(len(above))], axis=1)
    truth = np.array(right, np.float64)
    weights = np.zeros(2)
    for _ in range(30):
        likely = 1 / (1 + np.exp(-rows @ weights))
        curve = (rows * (likely * (1 - likely))[:, np.newaxis]).T @ rows
        weights -= np.linalg.solve(curve + 1e-6 * np.eye(2), rows.T @ (likely - truth))
    return float(weights[0]), float(-weights[1] / weights[0])
