"""From the evidence for a span to how likely it is right: a small learnt network, numpy only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.moments.evidence import EVIDENCE
from storage.errors import BundleError

_LIMIT = 5.0
"""Standardised evidence beyond it means no more: films may hold what no composed tape did."""


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
    calibration: NDArray[np.float32]
    """(2,): factor and shift of the logit (Platt)."""
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

    def probability(self, evidence: NDArray[np.float32]) -> NDArray[np.float32]:
        """For evidence (n, len(EVIDENCE)) the probability that each span is right, (n,)."""
        factor, shift = self.calibration.tolist()
        odds = (factor * self.logits(evidence) + shift).clip(-30.0, 30.0)
        probability: NDArray[np.float32] = 1.0 / (1.0 + np.exp(-odds))
        return probability
