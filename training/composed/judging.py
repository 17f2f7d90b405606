"""How well a moment head does on archives of composed tapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.base import MomentHead, Span
from search.ranking import Candidate, rank
from training.composed.archives import Trial, best_iou, right
from training.composed.stock import Stock

TOP = 10
SHORT_S = 10.0
_IOUS = np.arange(0.5, 0.951, 0.05)


@dataclass(frozen=True, repr=False)
class Answer:
    """What a search would have shown of one trial, best first."""

    trial: Trial
    hits: list[Candidate]

    @property
    def of_one_tape(self) -> bool:
        """Whether the archive holds a single film."""
        return len(self.trial.windows_s) == 1

    def windows(self, hit: Candidate) -> list[tuple[float, float]]:
        return self.trial.windows_s[hit.video_row]


def answers(head: MomentHead, stock: Stock, trials: Iterable[Trial]) -> list[Answer]:
    """Ask a head, and rank as a search does."""
    found = []
    for trial in trials:
        spans = head.find_all(trial.segments, stock.query(trial.question))
        candidates = [
            Candidate(tape, span, row)
            for row, (tape, own) in enumerate(zip(trial.tapes, spans, strict=True))
            for span in own
        ]
        found.append(Answer(trial, rank(candidates, TOP)))
    return found


def figures(found: Sequence[Answer]) -> dict[str, float]:
    """Percentages: R1 at several IoU and mIoU of the first hit; mAP of moments up to 10 s; how
    well a threshold on the score tells present from absent; calibration.
    """
    present = [answer for answer in found if answer.trial.present]
    ious = np.array([_iou(answer, answer.hits[0]) if answer.hits else 0.0 for answer in present])
    summary = {f"R1@{at}": float(100 * (ious >= at).mean()) for at in (0.3, 0.5, 0.7)}
    summary["mIoU"] = float(100 * ious.mean())
    summary["mAP short"] = 100 * _mean_average_precision(present, lambda s: s <= SHORT_S)
    summary["mAP"] = 100 * _mean_average_precision(present, lambda s: True)
    tops = np.array([answer.hits[0].span.score if answer.hits else 0.0 for answer in found])
    truth = np.array([answer.trial.present for answer in found])
    summary["absent AUC"] = 100 * _auc(tops, truth)
    summary["refusal F1"], summary["threshold"] = _refusal(tops, truth)
    if all(answer.hits and answer.hits[0].span.probability is not None for answer in found):
        summary["calibration error"] = 100 * calibration_error(*first_hits(found))
    return {name: round(value, 3 if name == "threshold" else 1) for name, value in summary.items()}


def first_hits(found: Sequence[Answer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of each first hit, and whether it is right."""
    hits = [(answer, answer.hits[0]) for answer in found if answer.hits]
    said = np.array([hit.span.probability or 0.0 for _, hit in hits])
    truth = [right(_array(hit.span), answer.windows(hit))[0] for answer, hit in hits]
    return said, np.array(truth, np.float64)


def answering_threshold(said: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """The probability from which a first hit is best called an answer: highest F1 of doing so."""
    best, at = 0.0, 0.0
    for threshold in np.unique(said).tolist():
        shown = said >= threshold
        f1 = 2 * float(truth[shown].sum()) / max(1.0, float(shown.sum() + truth.sum()))
        if f1 > best:
            best, at = f1, threshold
    return at


def reliability(
    said: NDArray[np.float64], truth: NDArray[np.float64], bins: int = 10
) -> list[tuple[float, float, int]]:
    """For each tenth of the scale: mean probability, share that is right, number of hits."""
    place = np.minimum((said * bins).astype(int), bins - 1)
    rows = [(said[place == b], truth[place == b]) for b in range(bins)]
    return [(float(p.mean()), float(t.mean()), len(p)) for p, t in rows if len(p)]


def calibration_error(said: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Expected calibration error over ten bins, 0…1."""
    table = reliability(said, truth)
    return sum(n * abs(p - t) for p, t, n in table) / max(1, len(said))


def _iou(answer: Answer, hit: Candidate) -> float:
    return float(best_iou(_array(hit.span), answer.windows(hit))[0])


def _array(span: Span) -> NDArray[np.float64]:
    return np.array([[span.start_s, span.end_s]])


def _mean_average_precision(present: Sequence[Answer], wanted: Callable[[float], bool]) -> float:
    """Mean over IoU 0.5…0.95 and over questions, of the windows of wanted length."""
    values = []
    for answer in present:
        windows = [
            (tape, window)
            for tape, own in answer.trial.windows_s.items()
            for window in own
            if wanted(window[1] - window[0])
        ]
        if windows:
            values.append(np.mean([_average_precision(answer, windows, at) for at in _IOUS]))
    return float(np.mean(values)) if values else 0.0


def _average_precision(
    answer: Answer, windows: list[tuple[int, tuple[float, float]]], at: float
) -> float:
    taken: set[int] = set()
    precisions = []
    for place, hit in enumerate(answer.hits, start=1):
        ious = [
            float(best_iou(_array(hit.span), [window])[0])
            if tape == hit.video_row and number not in taken
            else 0.0
            for number, (tape, window) in enumerate(windows)
        ]
        best = int(np.argmax(ious))
        if ious[best] >= at:
            taken.add(best)
            precisions.append(len(taken) / place)
    return sum(precisions) / len(windows)


def _auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    above, below = scores[truth], scores[~truth]
    wins = (above[:, None] > below).mean() + 0.5 * (above[:, None] == below).mean()
    return float(wins)


def _refusal(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Best F1 (per cent) of saying "not here" for the absent below a threshold, and it."""
    best, at = 0.0, 0.0
    for threshold in np.unique(scores).tolist():
        refused = scores < threshold
        hit = (refused & ~truth).sum()
        f1 = 2 * hit / max(1, refused.sum() + (~truth).sum())
        if f1 > best:
            best, at = float(f1), threshold
    return 100 * best, at
