"""The saliency loss of QD-DETR: clips that fit the sentence score above those that do not.

Moon et al., CVPR 2023, equations 5 to 8, in the form of the official ``loss_saliency``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.5
"""Of the ranking term; written into the official loss."""
RANKS = range(1, 12)
"""Sums of three ratings that serve as thresholds; officially 12, the highest sum, is never one."""
RANKS_DIVISOR = 12
"""The sum over eleven thresholds is divided by twelve, officially."""
_MASKED = -1000.0
_TINY = 1e-6


@dataclass(frozen=True)
class SaliencyTargets:
    """How well the clips of B videos of at most V clips fit their sentences."""

    positive: Tensor
    """(B, 2) int64: a clip that should score high; column 0 the best, column 1 a random one."""
    negative: Tensor
    """(B, 2) int64: a clip that should score lower than the positive one of the same column."""
    ratings: Tensor
    """(B, V) float32: sum of three annotators' ratings, 0…12; 0 for clips beside the matter."""


def saliency_loss(outputs: Mapping[str, Any], targets: SaliencyTargets, margin: float) -> Tensor:
    """The sum of margin, ranking and negative-pair term, a scalar.

    ``outputs`` holds ``saliency_scores``, ``saliency_scores_neg`` (the same videos with other
    videos' sentences) and ``video_mask``, all (B, V).
    """
    scores, others = outputs["saliency_scores"], outputs["saliency_scores_neg"]
    mask = outputs["video_mask"]
    return (
        _margin_term(scores, targets, margin)
        + _ranking_term(scores, others, mask, targets.ratings)
        + _negative_term(others, mask)
    )


def _margin_term(scores: Tensor, targets: SaliencyTargets, margin: float) -> Tensor:
    positive, negative = scores.gather(1, targets.positive), scores.gather(1, targets.negative)
    # Officially Σ / (rows · 2) · 2.
    return (margin + negative - positive).clamp(min=0).mean() * 2


def _negative_term(others: Tensor, mask: Tensor) -> Tensor:
    # softplus(x) = -log(1 - sigmoid(x)), and stays finite where the official form overflows.
    return (F.softplus(others) * mask).sum(dim=1).mean()


def _ranking_term(scores: Tensor, others: Tensor, mask: Tensor, ratings: Tensor) -> Tensor:
    """Contrast of clips at or above a rating with all the rest, wrong sentences included."""
    everything = torch.cat([scores, others], dim=1)
    present = torch.cat([mask, mask], dim=1)
    logits = everything.masked_fill(present == 0, _MASKED) / TEMPERATURE
    logits = logits - logits.amax(dim=1, keepdim=True).detach()
    log_share = logits - (logits.exp().sum(dim=1, keepdim=True) + _TINY).log()

    thresholds = torch.tensor(list(RANKS), device=ratings.device)[:, None, None]
    chosen = (ratings[None] >= thresholds).to(scores.dtype)  # (ranks, B, V)
    # Positives lie in the first half only; rows without any add 0, and count in the mean.
    sums = (chosen * log_share[None, :, : scores.shape[1]]).sum(dim=2)
    by_row = -sums / (chosen.sum(dim=2) + _TINY)
    return by_row.mean(dim=1).sum() / RANKS_DIVISOR
