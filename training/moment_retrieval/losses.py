"""The loss of QD-DETR for a batch: spans, foreground, saliency, for every decoder layer.

Moon et al., CVPR 2023, section 3.4, in the exact form of the official code (``SetCriterion`` of
``qd_detr/model.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.moment_retrieval.matching import (
    BACKGROUND,
    FOREGROUND,
    Match,
    MatchingCosts,
    generalised_iou,
    match,
    start_end,
)
from training.moment_retrieval.saliency import SaliencyTargets, saliency_loss


@dataclass(frozen=True)
class Targets:
    """What the outputs of a batch of B rows should have been."""

    spans: list[Tensor]
    """B tensors (windows, 2) float32: centre and width in parts of the video."""
    saliency: SaliencyTargets | None
    """None where the annotations rate no clips: the saliency loss is then 0."""


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; official defaults."""

    span: float = 10.0
    giou: float = 1.0
    label: float = 4.0
    saliency: float = 1.0
    background: float = 0.1
    """Weight of the queries without a window in the cross entropy."""
    saliency_margin: float = 0.2

    def of(self, term: str) -> float:
        """The weight of a term of `losses` whose name starts with ``loss_``."""
        return float(getattr(self, term.split("_")[1]))


def losses(
    outputs: Mapping[str, Any], targets: Targets, costs: MatchingCosts, weights: LossWeights
) -> dict[str, Tensor]:
    """Every term, not yet weighted, under its official name.

    ``loss_span``, ``loss_giou``, ``loss_label``, ``class_error`` of the last decoder layer,
    ``loss_saliency``, and the first four again for each earlier layer, with the suffix ``_0`` ….
    ``outputs`` is what ``QDDETR.forward_with_negatives`` returns.
    """
    terms = _layer_losses(outputs, targets, costs, weights)
    terms["loss_saliency"] = (
        outputs["pred_spans"].new_zeros(())
        if targets.saliency is None
        else saliency_loss(outputs, targets.saliency, weights.saliency_margin)
    )
    for layer, earlier in enumerate(outputs.get("aux_outputs", [])):
        layer_terms = _layer_losses(earlier, targets, costs, weights)
        terms |= {f"{name}_{layer}": value for name, value in layer_terms.items()}
    return terms


def weighted(terms: Mapping[str, Tensor], weights: LossWeights) -> dict[str, Tensor]:
    """The terms as they are summed and logged: weighted, plus their sum ``loss_overall``.

    ``class_error`` has no part in the sum and stays a percentage.
    """
    scaled = {
        name: weights.of(name) * term for name, term in terms.items() if name.startswith("loss_")
    }
    overall = torch.stack(list(scaled.values())).sum()
    return {**terms, **scaled, "loss_overall": overall}


def _layer_losses(
    outputs: Mapping[str, Any], targets: Targets, costs: MatchingCosts, weights: LossWeights
) -> dict[str, Tensor]:
    logits, spans = outputs["pred_logits"], outputs["pred_spans"]
    matches = match(logits, spans, targets.spans, costs)
    rows, queries = _matched_places(matches)
    found = spans[rows, queries]
    wanted = torch.cat(
        [windows[pairs.targets] for windows, pairs in zip(targets.spans, matches, strict=True)]
    )
    giou = generalised_iou(start_end(found), start_end(wanted)).diagonal()
    return {
        "loss_span": F.l1_loss(found, wanted),
        "loss_giou": (1 - giou).mean(),
        "loss_label": _label_loss(logits, rows, queries, weights.background),
        "class_error": _class_error(logits[rows, queries]),
    }


def _matched_places(matches: list[Match]) -> tuple[Tensor, Tensor]:
    """Row and query of every pair of the batch, both (pairs,)."""
    rows = [torch.full_like(pairs.queries, row) for row, pairs in enumerate(matches)]
    return torch.cat(rows), torch.cat([pairs.queries for pairs in matches])


def _label_loss(logits: Tensor, rows: Tensor, queries: Tensor, background: float) -> Tensor:
    """Weighted cross entropy, then a plain mean: not divided by the sum of the weights."""
    labels = torch.full(logits.shape[:2], BACKGROUND, device=logits.device)
    labels[rows, queries] = FOREGROUND
    class_weights = logits.new_tensor([1.0, background])
    entropy = F.cross_entropy(logits.transpose(1, 2), labels, class_weights, reduction="none")
    return entropy.mean()


@torch.no_grad()
def _class_error(matched_logits: Tensor) -> Tensor:
    """Percentage of matched queries (pairs, 2) that call themselves background."""
    right = matched_logits.argmax(-1) == FOREGROUND
    return 100 - 100 * right.float().mean()
