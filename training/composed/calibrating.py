"""Makes the scorer's probability honest, on archives of validation photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from search.moments.evidence import Leaders, evidence
from search.moments.lite_head import LiteHead, apart, proposed
from search.moments.scorer import Best, Judged, Scorer, standing
from training.composed.archives import Trial, right
from training.composed.judging import answering_threshold
from training.composed.stock import Stock

TRUST = 0.05
"""How much of the network's logit the order takes beside the peak: enough to choose among spans
that share their best clip, and to part near ties. Composed tapes would have ten times as much;
film does not (docs/adr/0017)."""
_HITS = 3
"""Hits of a search that the probability is fitted on."""


@dataclass(frozen=True, repr=False)
class Asked:
    """A trial with all spans that were proposed, by segment."""

    trial: Trial
    spans_s: list[NDArray[np.float64]]
    """(n, 2) each."""
    evidence: list[NDArray[np.float32]]


@dataclass(frozen=True, repr=False)
class Hits:
    """The first hits of a trial, best first."""

    standing: NDArray[np.float32]
    """(h, 3), see `search.moments.scorer.standing`."""
    right: NDArray[np.bool_]
    """(h,), by the rule of the measuring set."""


def asked(head: LiteHead, stock: Stock, trials: Iterable[Trial]) -> list[Asked]:
    """Put every trial's question to the network, and gather the evidence for all spans."""
    found = []
    for trial in trials:
        readings = head.read(trial.segments, stock.query(trial.question))
        leaders = Leaders.of(readings)
        spans_s = [proposed(reading) for reading in readings]
        facts = [
            evidence(reading, own_s, leaders)
            for reading, own_s in zip(readings, spans_s, strict=True)
        ]
        found.append(Asked(trial, spans_s, facts))
    return found


def calibrated(scorer: Scorer, found: Sequence[Asked]) -> Scorer:
    """The scorer with an honest probability, and the least that a hit should have."""
    scorer = dataclasses.replace(scorer, trust=np.array([TRUST], np.float32))
    hits = [first_hits(scorer, one) for one in found]
    weights = platt(
        np.concatenate([one.standing for one in hits]), np.concatenate([one.right for one in hits])
    )
    scorer = dataclasses.replace(scorer, calibration=weights)
    first = np.stack([one.standing[0] for one in hits]) @ weights[:-1] + weights[-1]
    said = 1 / (1 + np.exp(-first.astype(np.float64)))
    truth = np.array([one.right[0] for one in hits], np.float64)
    least = np.array([answering_threshold(said, truth)], np.float32)
    return dataclasses.replace(scorer, least=least)


def first_hits(scorer: Scorer, one: Asked) -> Hits:
    """What a search would have listed first, spans of one moment listed once."""
    judged = [scorer.judged(facts) for facts in one.evidence]
    of_all = Best.of(judged)
    rows = []
    for spans_s, own, tape in zip(one.spans_s, judged, one.trial.tapes, strict=True):
        windows_s = one.trial.windows_s[tape]
        for row in apart(spans_s, own.order):
            span_s = spans_s[row : row + 1]
            place = Judged(own.logits[row : row + 1], own.order[row : row + 1])
            facts = standing(place, of_all)[0]
            rows.append((facts, right(span_s, windows_s)[0]))
    rows.sort(key=lambda row: -float(row[0][2]))
    facts, truth = zip(*rows[:_HITS], strict=True)
    return Hits(np.stack(facts), np.array(truth, np.bool_))


def platt(standing: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weights and shift (4,) of a logistic regression of being right (n,) on `standing` (n, 3).

    Of two hits of one search the one that stands higher must not be the less likely one: the
    weight of the third number is held above zero.
    """
    x = torch.from_numpy(standing.astype(np.float64))
    y = torch.from_numpy(truth.astype(np.float64))
    weights = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(x @ weights[:3] + weights[3], y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    fitted: NDArray[np.float32] = weights.detach().numpy().astype(np.float32)
    fitted[2] = max(float(fitted[2]), 1e-3)
    return fitted
