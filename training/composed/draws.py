"""Draws films and archives at random: what stands on a tape, how it is cut, what is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView
from storage.records import CLIP_S, SEGMENT_CLIPS
from training.composed.stock import Stock
from training.composed.tape import Style, Tape, compose, view

Span = tuple[float, float]
Styles = Callable[[np.random.Generator], Style]

_KINDS = {"caption": 0.25, "short": 0.2, "keywords": 0.2, "label": 0.17, "noun": 0.18}
"""How often each kind of question is drawn."""
_EVENT_S = 6.0
"""Roughly how long an event is where it is guessed how many a tape takes."""


def learning_style(rng: np.random.Generator) -> Style:
    """Any way to cut a film, from a montage to a camera that is left running."""
    return Style(
        shot_s=_log_uniform(rng, 2.0, 40.0),
        spread=rng.uniform(0.3, 0.9),
        more_shots=rng.uniform(0.0, 0.6),
        fades=rng.uniform(0.0, 0.3),
        missed=rng.uniform(0.0, 0.25),
        invented_per_s=rng.uniform(0.0, 0.05),
        passers_by=rng.uniform(0.0, 0.7),
        still=rng.uniform(0.0, 0.3),
        stray=rng.uniform(0.0, 0.35),
        takes=rng.uniform(0.0, 0.6) if rng.random() < 0.6 else 0.0,
        places=rng.uniform(0.0, 0.7),
    )


def judging_style(rng: np.random.Generator) -> Style:
    """The one way of the tapes that are only judged on, unlike the mix that is learnt from: even
    shots, many of one event, and a detector that misses and invents more.
    """
    return Style(
        shot_s=6.0,
        spread=0.7,
        more_shots=0.5,
        fades=0.12,
        missed=0.15,
        invented_per_s=1 / 40,
        passers_by=0.5,
        still=0.05,
        stray=0.2,
        takes=0.2,
        places=0.3,
    )


@dataclass(frozen=True, repr=False)
class Example:
    """A segment, a question, and where the answer lies: nowhere, if it is not there."""

    segment: SegmentView
    question: int
    windows_s: tuple[Span, ...]
    """In the time of the tape, cut to the segment."""


class Draws:
    """Makes examples of one stock; the same seed makes the same ones."""

    def __init__(self, stock: Stock, styles: Styles, seed: int) -> None:
        self._stock = stock
        self._styles = styles
        self._rng = np.random.default_rng([seed, 23])
        rows = self._rng.integers(0, stock.photos, 3000)
        looks = self._rng.integers(0, stock.vectors.shape[1], 3000)
        self._strangers = stock.vectors[rows, looks].astype(np.float32)
        self._of_kind: dict[str, list[int]] = {}
        for number, question in enumerate(stock.questions):
            self._of_kind.setdefault(question.kind, []).append(number)
        self._kinds = sorted(self._of_kind)
        odds = np.array([_KINDS[kind] for kind in self._kinds])
        self._odds = odds / odds.sum()

    def question(self) -> int:
        """A question: each kind as often as people ask so, by guess, and then any of the kind."""
        rng = self._rng
        kind = self._kinds[int(rng.choice(len(self._kinds), p=self._odds))]
        own = self._of_kind[kind]
        return int(own[int(rng.integers(len(own)))])

    def example(self, present: float = 0.7) -> Example:
        """One segment, short film or part of a long tape, in which a question is true with that
        chance.
        """
        rng = self._rng
        number = self.question()
        short = rng.random() < 0.25
        longest_s = rng.uniform(2.0, 20.0) if short else rng.uniform(20.0, 190.0)
        shown = rng.random() < present
        tape = self.tape(number, shown, longest_s)
        clips = len(tape.vectors)
        first = int(rng.integers(0, max(1, clips - SEGMENT_CLIPS + 1)))
        part = slice(first, min(clips, first + SEGMENT_CLIPS))
        windows = self.windows(tape, number)
        background, deviation = self.background(tape.vectors, number)
        segment = view(tape, part, background, deviation)
        first_s, last_s = float(segment.times_s[0, 0]), float(segment.times_s[-1, 1])
        inside = [(max(a, first_s), min(b, last_s)) for a, b in windows]
        return Example(segment, number, tuple((a, b) for a, b in inside if b - a >= 0.5))

    def windows(self, tape: Tape, number: int) -> list[Span]:
        """Where a tape shows what a question asks for."""
        return tape.windows(frozenset(self._stock.questions[number].right))

    def tape(self, number: int, shown: bool, longest_s: float) -> Tape:
        """A tape on which a question is true, or surely is not."""
        rng = self._rng
        style = self._styles(rng)
        per_event = _EVENT_S * style.shot_s / 4.5
        count = int(np.clip(round(longest_s / per_event), 1, 60))
        events = self._events(number, shown, count)
        return compose(self._stock.vectors, events, style, rng, longest_s)

    def background(self, clips: NDArray[np.float32], number: int) -> tuple[float, float]:
        """Mean and deviation of a question's similarity in an archive of any size around them."""
        rng = self._rng
        others = 0 if rng.random() < 0.15 else round(_log_uniform(rng, 10, 2000))
        begin = int(rng.integers(0, len(self._strangers) - others))
        shown = np.concatenate([clips, self._strangers[begin : begin + others]])
        similarity = shown @ self._stock.words.pooled[number]
        return float(similarity.mean()), float(similarity.std())

    def _events(self, number: int, shown: bool, count: int) -> list[int]:
        """Photos in the order of the tape; two right ones never follow one another."""
        rng, stock = self._rng, self._stock
        sure, hardest = stock.false(number)
        if not len(sure):
            sure = hardest = np.arange(stock.photos, len(stock.vectors))
        hard = rng.uniform(0.0, 0.5)
        events: list[int] = []
        while len(events) < count:
            draw = rng.random()
            if events and draw < 0.08:
                events.append(int(rng.choice(events)))  # comes back
            elif stock.leader and draw < 0.14:
                events.append(int(rng.integers(stock.photos, len(stock.vectors))))
            else:
                events.append(int(rng.choice(hardest if rng.random() < hard else sure)))
        if not shown:
            return events
        right = rng.permutation(stock.questions[number].right)
        times = min(int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])), (count + 1) // 2)
        places = self._apart(count, times)
        for turn, place in enumerate(places):
            events[place] = int(right[turn % len(right)])
        return events

    def _apart(self, count: int, times: int) -> list[int]:
        """Distinct places of which no two are neighbours."""
        places = np.sort(self._rng.choice(count - times + 1, times, replace=False))
        return [int(place) for place in places + np.arange(times)]


def clip_shares(segment: SegmentView, windows_s: tuple[Span, ...]) -> NDArray[np.float32]:
    """(clips,): how much of each clip lies in a window."""
    starts_s, ends_s = segment.times_s.T
    shares = np.zeros(len(starts_s))
    for begin_s, until_s in windows_s:
        shares += (np.minimum(ends_s, until_s) - np.maximum(starts_s, begin_s)).clip(min=0.0)
    within: NDArray[np.float32] = (shares / np.maximum(ends_s - starts_s, 1e-3)).astype(np.float32)
    return within.clip(0.0, 1.0)


def parts(segment: SegmentView, windows_s: tuple[Span, ...]) -> NDArray[np.float32]:
    """(windows, 2): centre and width as parts of the segment's clips of CLIP_S each."""
    first_s = float(segment.times_s[0, 0])
    whole_s = len(segment.vectors) * CLIP_S
    rows = [((a + b) / 2 - first_s, b - a) for a, b in windows_s]
    found = np.array(rows, np.float32).reshape(-1, 2) / np.float32(whole_s)
    clipped: NDArray[np.float32] = found.clip(0.0, 1.0)
    return clipped


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
