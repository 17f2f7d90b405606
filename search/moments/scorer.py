"""From the evidence for spans to their order, and to how likely each is right; numpy only.

A small learnt network weighs all evidence for a span. It learnt from composed tapes, and film is
unlike them in many ways that such a network can lean on; what holds everywhere is how far the best
clip stands above the archive. So the order goes by that peak, to which the network adds a part of
its logit, and validation tapes say how large a part (docs/adr/0017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.moments.evidence import EVIDENCE
from storage.errors import BundleError

_PEAK = EVIDENCE.index("archive_peak")
_LIMIT = 5.0
"""Standardised evidence beyond it means no more: films may hold what no composed tape did."""


@dataclass(frozen=True, repr=False)
class Judged:
    """The spans of one segment, weighed."""

    logits: NDArray[np.float32]
    """(n,): how much all evidence speaks for each."""
    order: NDArray[np.float32]
    """(n,): what they are ordered by, over all segments of a search."""


@dataclass(frozen=True)
class Best:
    """The highest that any span of a search reached."""

    logit: float
    order: float

    @staticmethod
    def of(judged: Sequence[Judged]) -> Best:
        return Best(
            max(float(segment.logits.max()) for segment in judged),
            max(float(segment.order.max()) for segment in judged),
        )


@dataclass(frozen=True, repr=False)
class Scorer:
    """A straight line through the evidence and one hidden layer beside it, which together give a
    logit, and the line that makes it mean what it says.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    """Of the evidence it learnt from, (len(EVIDENCE),)."""
    direct: NDArray[np.float32]
    """(len(EVIDENCE),)"""
    hidden_weight: NDArray[np.float32]
    """(len(EVIDENCE), h)"""
    hidden_bias: NDArray[np.float32]
    weight: NDArray[np.float32]
    """(h,)"""
    bias: NDArray[np.float32]
    """(1,)"""
    trust: NDArray[np.float32]
    """(1,): how much of the network's logit is added to the peak."""
    calibration: NDArray[np.float32]
    """(4,): weights of `standing`'s three numbers, and the shift (Platt, 1999)."""
    least: NDArray[np.float32]
    """(1,): probability from which a span is best called an answer."""

    @staticmethod
    def load(file: Path) -> Scorer:
        """Read what `save` wrote.

        Raises:
            BundleError: the file is damaged, or weighs other evidence.
        """
        try:
            with np.load(file, allow_pickle=False) as kept:
                names = kept["evidence"].tolist()
                parts = {field.name: kept[field.name] for field in fields(Scorer)}
        except Exception as error:  # numpy answers to a damaged file with all kinds of errors
            raise BundleError(
                f"The scorer {file} cannot be read ({error}): install the moment head again."
            ) from error
        if names != list(EVIDENCE):
            raise BundleError(
                f"{file} weighs other evidence than this version of reelseek gathers: train or "
                "install the moment head again."
            )
        return Scorer(**parts)

    def save(self, file: Path) -> None:
        """Write all numbers, and the names of the evidence."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        with file.open("wb") as stream:
            np.savez(stream, evidence=np.array(EVIDENCE), **parts)

    def logits(self, evidence: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,): how much speaks for each span, not yet calibrated."""
        x = ((evidence - self.mean) / self.deviation).clip(-_LIMIT, _LIMIT)
        hidden = np.maximum(x @ self.hidden_weight + self.hidden_bias, 0.0)
        logits: NDArray[np.float32] = x @ self.direct + hidden @ self.weight + self.bias
        return logits

    def judged(self, evidence: NDArray[np.float32]) -> Judged:
        """What the evidence (n, len(EVIDENCE)) says of each span of a segment."""
        logits = self.logits(evidence)
        return Judged(logits, evidence[:, _PEAK] + self.trust * logits)

    def probability(self, judged: Judged, of_all: Best) -> NDArray[np.float32]:
        """How likely each span is right, (n,); it rises with `order`."""
        *weights, shift = self.calibration.tolist()
        odds = standing(judged, of_all) @ np.array(weights, np.float32) + np.float32(shift)
        probability: NDArray[np.float32] = 1.0 / (1.0 + np.exp(-odds.clip(-30.0, 30.0)))
        return probability


def standing(judged: Judged, of_all: Best) -> NDArray[np.float32]:
    """What the probability goes by, (n, 3): is anything here (the best order and the best logit of
    the whole search), and how much a span lacks of the best.
    """
    columns = np.zeros((len(judged.order), 3), np.float32)
    columns[:, 0] = of_all.order
    columns[:, 1] = of_all.logit
    columns[:, 2] = judged.order - of_all.order
    return columns
