"""Which query answers for which annotated window: the cheapest one-to-one pairing of each row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from torch import Tensor

FOREGROUND, BACKGROUND = 0, 1
"""Columns of ``pred_logits`` (official ``model.py``)."""


@dataclass(frozen=True)
class MatchingCosts:
    """What each disagreement of a query with a window costs; official defaults."""

    span: float = 10.0
    giou: float = 1.0
    label: float = 4.0


@dataclass(frozen=True)
class Match:
    """The pairs of one row; ``queries[i]`` answers for ``targets[i]``."""

    queries: Tensor
    """(pairs,) int64, ascending."""
    targets: Tensor
    """(pairs,) int64."""


def start_end(spans: Tensor) -> Tensor:
    """(…, 2) centre and width to (…, 2) start and end, in the same unit."""
    centre, width = spans.unbind(-1)
    return torch.stack([centre - 0.5 * width, centre + 0.5 * width], dim=-1)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU of all pairs: (n, 2) and (m, 2) starts and ends to (n, m), in -1…1.

    IoU - (hull - union) / hull (Rezatofighi et al., CVPR 2019, in one dimension).
    """
    first, second = first[:, None], second[None]
    overlap = torch.minimum(first[..., 1], second[..., 1]) - torch.maximum(
        first[..., 0], second[..., 0]
    )
    intersection = overlap.clamp(min=0)
    union = (first[..., 1] - first[..., 0]) + (second[..., 1] - second[..., 0]) - intersection
    hull = torch.maximum(first[..., 1], second[..., 1]) - torch.minimum(
        first[..., 0], second[..., 0]
    )
    return intersection / union - (hull - union) / hull


@torch.no_grad()
def match(
    logits: Tensor, spans: Tensor, targets: list[Tensor], costs: MatchingCosts
) -> list[Match]:
    """The pairing of every row with the lowest total cost (Hungarian method, as in DETR).

    ``logits`` and ``spans`` are (B, Q, 2), ``targets`` holds B tensors (windows, 2) of centre and
    width in parts of the video. A row gets min(Q, windows) pairs.
    """
    probability = logits.softmax(-1)[..., FOREGROUND].flatten()
    every_span, every_target = spans.flatten(0, 1), torch.cat(targets)
    distance = torch.cdist(every_span, every_target, p=1)
    giou = generalised_iou(start_end(every_span), start_end(every_target))
    cost = costs.span * distance - costs.giou * giou - costs.label * probability[:, None]

    counts = [len(windows) for windows in targets]
    rows = torch.split(cost.view(*spans.shape[:2], -1).cpu(), counts, dim=-1)
    return [_pairing(part[row], logits.device) for row, part in enumerate(rows)]


def _pairing(cost: Tensor, device: torch.device) -> Match:
    queries, windows = linear_sum_assignment(cost.numpy())
    return Match(
        torch.as_tensor(queries, dtype=torch.int64, device=device),
        torch.as_tensor(windows, dtype=torch.int64, device=device),
    )
