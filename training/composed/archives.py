"""Small and large archives of composed tapes, in which a question is true here and there, or
nowhere: what a search hands to the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView
from search.moments.evidence import ious
from training.composed.draws import Draws, Span, Styles
from training.composed.stock import Stock
from training.composed.tape import Tape, compose, views

SHORTLIST = 24
"""Segments that are read for a question; a search reads more, but the right ones come first."""
_OVERLAP_CLIPS = 15
_HOLDINGS = 40
"""Tapes that stand in the archives of all questions."""


@dataclass(frozen=True, repr=False)
class Trial:
    """One question to one archive."""

    question: int
    segments: list[SegmentView]
    """The shortlist, best first, all with the archive's background."""
    tapes: list[int]
    """The tape of each segment."""
    windows_s: dict[int, list[Span]]
    """Where the question is true, by tape, all tapes of the archive."""

    @property
    def present(self) -> bool:
        return any(self.windows_s.values())


class Archives:
    """Makes trials; the same seed makes the same ones."""

    def __init__(self, stock: Stock, styles: Styles, seed: int) -> None:
        self._stock = stock
        self._rng = rng = np.random.default_rng([seed, 41])
        self._draws = Draws(stock, styles, seed)
        self._holdings: list[Tape] = []
        for _ in range(_HOLDINGS):
            longest_s = float(np.exp(rng.uniform(np.log(2.0), np.log(700.0))))
            events = rng.integers(0, len(stock.vectors), max(1, round(longest_s / 5))).tolist()
            self._holdings.append(compose(stock.vectors, events, styles(rng), rng, longest_s))
        self._photos = [frozenset(shot.photo for shot in tape.shots) for tape in self._holdings]

    def trials(self, count: int, present: float) -> Iterator[Trial]:
        """So many trials, of which that share has an answer by intent."""
        for _ in range(count):
            yield self.trial(self._rng.random() < present)

    def trial(self, shown: bool) -> Trial:
        """A question, one or two tapes made for it, and others that were there before."""
        rng, stock = self._rng, self._stock
        number = self._draws.question()
        short = rng.random() < 0.3
        longest_s = rng.uniform(2.0, 20.0) if short else rng.uniform(20.0, 400.0)
        own = [self._draws.tape(number, shown, longest_s)]
        if rng.random() < 0.3:
            own.append(self._draws.tape(number, False, rng.uniform(5.0, 200.0)))
        others = (0, int(rng.integers(1, 8)), int(rng.integers(8, _HOLDINGS)))[int(rng.integers(3))]
        held = [*own, *self._fitting(number, shown, others)]
        clips = np.concatenate([tape.vectors for tape in held])
        similarity = clips @ stock.words.pooled[number]
        background, deviation = float(similarity.mean()), float(similarity.std())
        segments, tapes = [], []
        for place, tape in enumerate(held):
            for segment in views(tape, background, deviation, _OVERLAP_CLIPS):
                segments.append(segment)
                tapes.append(place)
        best = [float((view.vectors @ stock.words.pooled[number]).max()) for view in segments]
        order = np.argsort(-np.array(best), kind="stable")[:SHORTLIST].tolist()
        return Trial(
            number,
            [segments[row] for row in order],
            [tapes[row] for row in order],
            {place: self._draws.windows(tape, number) for place, tape in enumerate(held)},
        )

    def _fitting(self, number: int, shown: bool, count: int) -> list[Tape]:
        """Tapes of which it is known whether they answer; none that does, if nothing shall."""
        question = self._stock.questions[number]
        sure, _ = self._stock.false(number)
        open_ = np.ones(len(self._stock.vectors), bool)
        open_[self._stock.photos :] = False
        open_[sure] = False
        right = set(question.right)
        doubtful = frozenset(np.flatnonzero(open_).tolist()) - (right if shown else set())
        fits = [row for row, photos in enumerate(self._photos) if not photos & doubtful]
        return [self._holdings[row] for row in self._rng.permutation(fits)[:count].tolist()]


def right(
    spans_s: NDArray[np.float64], windows_s: Sequence[Span], least_iou: float = 0.3
) -> NDArray[np.bool_]:
    """Which of spans (n, 2) overlap a true one by enough, or have their middle in one."""
    middles_s = spans_s.mean(axis=1)
    found = best_iou(spans_s, windows_s) >= least_iou
    for begin_s, end_s in windows_s:
        found |= (middles_s >= begin_s) & (middles_s <= end_s)
    return found


def best_iou(spans_s: NDArray[np.float64], windows_s: Sequence[Span]) -> NDArray[np.float64]:
    """The highest IoU of spans (n, 2) with one of the true ones; 0 if there are none."""
    if not windows_s:
        return np.zeros(len(spans_s))
    best: NDArray[np.float64] = ious(spans_s, np.array(windows_s, np.float64)).max(axis=1)
    return best
