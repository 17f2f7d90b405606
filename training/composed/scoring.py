"""Fits the scorer on archives of photos that the network never saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from search.moments.evidence import EVIDENCE, OF_NETWORK, Leaders, evidence
from search.moments.lite_head import LiteHead, proposed
from search.moments.scorer import Scorer
from training.composed.archives import Trial, best_iou
from training.composed.stock import Stock

_KEPT_FALSE = 60
"""False spans of a trial that are learnt from, drawn at random, besides all that touch the
truth."""
_LEAST_IOU = 0.3
"""A span that overlaps the truth by less is no answer."""
_SHARPNESS = 4
"""Spans share the credit by this power of their IoU: good borders are worth more."""


@dataclass(frozen=True)
class Fitting:
    """How the scorer is fitted."""

    trials: int = 600
    present: float = 0.65
    members: int = 6
    """Networks that are fitted and averaged."""
    hidden: int = 8
    """Hidden units of each."""
    dropout: float = 0.1
    steps: int = 400
    batch: int = 16
    """Trials of a step."""
    learning_rate: float = 5e-3
    weight_decay: float = 0.1


@dataclass(frozen=True, repr=False)
class Facts:
    """Proposed spans of one trial."""

    evidence: NDArray[np.float32]
    """(n, len(EVIDENCE))"""
    overlap: NDArray[np.float32]
    """(n,): IoU with the truth."""
    stands_for: NDArray[np.float32]
    """(n,): how many spans of the trial each stands for."""


def gathered(head: LiteHead, stock: Stock, trials: Iterable[Trial], seed: int) -> list[Facts]:
    """The evidence for all spans that touch the truth, and for a sample of the others."""
    rng = np.random.default_rng([seed, 43])
    found = []
    for trial in trials:
        readings = head.read(trial.segments, stock.query(trial.question))
        leaders = Leaders.of(readings)
        proposals = [proposed(reading) for reading in readings]
        overlap = np.concatenate(
            [
                best_iou(spans_s, trial.windows_s[tape])
                for spans_s, tape in zip(proposals, trial.tapes, strict=True)
            ]
        ).astype(np.float32)
        facts = np.concatenate(
            [
                evidence(reading, spans_s, leaders)
                for reading, spans_s in zip(readings, proposals, strict=True)
            ]
        )
        near, far = np.flatnonzero(overlap > 0), np.flatnonzero(overlap == 0)
        kept = rng.permutation(far)[:_KEPT_FALSE]
        rows = np.concatenate([near, kept])
        stands_for = np.ones(len(rows), np.float32)
        stands_for[len(near) :] = len(far) / max(1, len(kept))
        found.append(Facts(facts[rows], overlap[rows], stands_for))
    return found


def fit(facts: list[Facts], fitting: Fitting, seed: int) -> Scorer:
    """A scorer for these spans, its probability not yet calibrated.

    Several networks are fitted, each to another draw of the trials with its own first weights, and
    become one whose logit is their mean: a single one hangs on its draw.
    """
    rng = np.random.default_rng([seed, 47])
    every = np.concatenate([part.evidence for part in facts])
    mean, deviation = every.mean(axis=0), every.std(axis=0) + np.float32(1e-3)
    members = []
    for number in range(fitting.members):
        drawn = [facts[row] for row in rng.integers(0, len(facts), len(facts)).tolist()]
        # Every other one does without the network's opinion: where film is unlike what the
        # network learnt from, half of the vote goes by curves and cuts alone.
        members.append(_member(drawn, mean, deviation, fitting, seed + number, number % 2 == 1))
        print(f"  scorer {number + 1} of {fitting.members}", flush=True)
    share = np.float32(1 / len(members))
    return Scorer(
        mean=mean,
        deviation=deviation,
        direct=np.stack([_numbers(m.direct.weight)[0] for m in members]).mean(axis=0),
        hidden_weight=np.concatenate([_numbers(m.first.weight) for m in members]).T.copy(),
        hidden_bias=np.concatenate([_numbers(m.first.bias) for m in members]),
        weight=share * np.concatenate([_numbers(m.last.weight)[0] for m in members]),
        bias=np.stack([_numbers(m.last.bias) for m in members]).mean(axis=0),
        trust=np.array([1.0], np.float32),
        calibration=np.array([0.0, 0.0, 1.0, 0.0], np.float32),
        least=np.array([0.0], np.float32),
    )


class _Member(nn.Module):
    """A line and a hidden layer, (n, len(EVIDENCE)) → (n,)."""

    def __init__(self, fitting: Fitting) -> None:
        super().__init__()
        self.direct = nn.Linear(len(EVIDENCE), 1, bias=False)
        self.first = nn.Linear(len(EVIDENCE), fitting.hidden)
        self.dropout = nn.Dropout(fitting.dropout)
        self.last = nn.Linear(fitting.hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(functional.relu(self.first(x)))
        logits: Tensor = (self.direct(x) + self.last(hidden)).squeeze(-1)
        return logits


def _member(
    facts: list[Facts],
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
    fitting: Fitting,
    seed: int,
    without_network: bool,
) -> _Member:
    torch.manual_seed(seed)
    heard = torch.ones(len(EVIDENCE))
    if without_network:
        heard[[EVIDENCE.index(name) for name in OF_NETWORK]] = 0.0
    rng = np.random.default_rng([seed, 53])
    standard = [
        torch.from_numpy(((part.evidence - mean) / deviation).clip(-5, 5)) * heard for part in facts
    ]
    network = _Member(fitting)
    optimiser = torch.optim.AdamW(
        network.parameters(), fitting.learning_rate, weight_decay=fitting.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, fitting.steps)
    for _ in range(fitting.steps):
        rows = rng.integers(0, len(facts), fitting.batch).tolist()
        logits = network(torch.cat([standard[row] for row in rows]))
        parts = logits.split([len(standard[row]) for row in rows])
        losses = [list_loss(part, facts[row]) for part, row in zip(parts, rows, strict=True)]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    network.eval().requires_grad_(False)
    network.direct.weight *= heard
    network.first.weight *= heard
    return network


def list_loss(logits: Tensor, facts: Facts) -> Tensor:
    """Cross entropy over the spans (n,) of a trial and "nothing of these", whose logit is 0.

    What is asked for is the order of a listing, and so is the loss: every span contends with all
    others, and with there being no answer.
    """
    stands_for = torch.from_numpy(facts.stands_for).log()
    overlap = torch.from_numpy(facts.overlap)
    credit = torch.where(overlap >= _LEAST_IOU, overlap**_SHARPNESS, 0.0)
    nothing = 1.0 if float(credit.sum()) == 0.0 else 0.0
    wanted = torch.cat([credit / credit.sum().clamp(min=1e-6), torch.tensor([nothing])])
    everything = torch.cat([logits + stands_for, torch.zeros(1)])
    return -(wanted * everything.log_softmax(dim=0)).sum()


def _numbers(parameter: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = parameter.detach().numpy()
    return numbers
