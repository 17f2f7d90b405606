"""Photos, questions and vectors that tapes are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.bank import Chance
from search.text.base import EncodedQuery
from training.composed.questions import Question
from training.composed.space import Words

_HARDEST = 40
"""Hard distractors are drawn from so many photos whose words come nearest to the question's."""


@dataclass(frozen=True, repr=False)
class Stock:
    """One set of photos and what may be asked of it."""

    vectors: NDArray[np.float16]
    """(photos, looks, dim), unit length: of the encoder's head, or of heads that did not see them.
    The last rows, `leader` of them, are black leader, titles and noise, which answer nothing."""
    leader: int
    questions: Sequence[Question]
    words: Words
    """Of the questions, in their order."""
    described: NDArray[np.float32]
    """(descriptions, w): meaning of sentences that fit the photos."""
    describes: NDArray[np.int64]
    """(descriptions,): the photo of each."""
    alike: float
    """Two sentences whose meanings are this near may be said of one photo."""

    @property
    def photos(self) -> int:
        """How many photos there are, without the leader."""
        return len(self.vectors) - self.leader

    def query(self, number: int) -> EncodedQuery:
        """A question as a search would hand it to the head."""
        return EncodedQuery(
            self.questions[number].text,
            self.words.pooled[number].astype(np.float32),
            self.words.tokens_of(number),
        )

    def nearness(self, number: int) -> NDArray[np.float32]:
        """(photos,): how near the words said of each photo come to a question."""
        cosines = self.described @ self.words.meaning[number]
        nearest = np.full(self.photos, -1.0, np.float32)
        np.maximum.at(nearest, self.describes, cosines)
        return nearest

    def false(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Photos that surely do not answer a question: all of them, and the hardest ones."""
        question = self.questions[number]
        nearness = self.nearness(number)
        open_ = nearness >= self.alike
        open_[list(question.right)] = True
        open_[list(question.doubtful)] = True
        sure = np.flatnonzero(~open_)
        if not len(sure):
            return sure, sure
        hardest = sure[np.argsort(-nearness[sure], kind="stable")[:_HARDEST]]
        return sure, hardest


def alike(meaning: NDArray[np.float32], of_photo: NDArray[np.int64]) -> float:
    """Median nearness of two sentences that two people said of one photo."""
    order = np.argsort(of_photo, kind="stable")
    pairs = of_photo[order][1:] == of_photo[order][:-1]
    rows = meaning[order]
    together = (rows[1:] * rows[:-1]).sum(axis=1)[pairs]
    return float(np.median(together)) if len(together) else 1.0


def one(chance: Chance, row: int) -> Chance:
    """The entry of a single sentence."""
    part = slice(row, row + 1)
    return Chance(chance.mean[part], chance.deviation[part], chance.top[part])
