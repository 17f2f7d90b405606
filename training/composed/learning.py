"""Teaches the network on drawn examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.composed.batches import Batch, Row, batches
from training.composed.network import LiteMoments, lite_config
from training.composed.stock import Stock
from training.moment_retrieval.losses import LossWeights, Targets, losses, weighted
from training.moment_retrieval.matching import MatchingCosts

_TEMPERATURE = 0.5
"""Of the ranking term of the saliency, as in QD-DETR."""


@dataclass(frozen=True)
class Recipe:
    """How the network is trained."""

    hidden: int = 64
    examples: int = 8_000
    present: float = 0.7
    """Share of the examples in which the question is true."""
    epochs: int = 4
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    without_vectors: float = 0.5
    clip_norm: float = 1.0
    exists_weight: float = 2.0
    saliency_weight: float = 2.0


def train(stock: Stock, examples: Sequence[Row], recipe: Recipe, seed: int) -> LiteMoments:
    """A network trained on the examples, in eval mode."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 31])
    dim = stock.vectors.shape[-1]
    network = LiteMoments(lite_config(dim, recipe.hidden, recipe.dropout), recipe.without_vectors)
    optimiser = _optimiser(network, recipe)
    steps = recipe.epochs * -(-len(examples) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps + 1, pct_start=0.08
    )
    network.train()
    began_s, step, running = time.monotonic(), 0, 0.0
    for _ in range(recipe.epochs):
        for batch in batches(stock, examples, recipe.batch, rng):
            loss = total_loss(network, batch, recipe)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimiser.step()
            schedule.step()
            step += 1
            running += 0.02 * (float(loss.detach()) - running)
            if step % 200 == 0:
                took_s = (time.monotonic() - began_s) / step
                print(f"  step {step} of {steps}, loss {running:.3f}, {took_s:.2f} s", flush=True)
    return network.eval().requires_grad_(False)


def total_loss(network: LiteMoments, batch: Batch, recipe: Recipe) -> Tensor:
    """QD-DETR's terms for spans and foreground, and those of saliency and existence.

    The official saliency loss takes another row's sentence as the false one. Here the false rows
    are tapes on which the sentence is surely not true: two captions may well say the same.
    """
    answer = network(*batch.inputs.values())
    weights = LossWeights(background=0.2)
    terms = losses(answer, Targets(batch.spans, None), MatchingCosts(), weights)
    spans = weighted(terms, weights)["loss_overall"]
    exists = functional.binary_cross_entropy_with_logits(answer["exists"], batch.exists)
    mask = batch.inputs["src_vid_mask"]
    saliency = saliency_loss(answer["saliency_scores"], batch.shares, mask)
    return spans + recipe.exists_weight * exists + recipe.saliency_weight * saliency


def saliency_loss(scores: Tensor, shares: Tensor, mask: Tensor) -> Tensor:
    """Clips (B, V) that show it score high, by themselves (odds) and against the rest (ranking).

    `shares` in 0…1 says how much of a clip shows it; rows without any have no ranking term.
    """
    odds = functional.binary_cross_entropy_with_logits(scores, shares, reduction="none")
    odds = (odds * mask).sum(dim=1) / mask.sum(dim=1)
    logits = scores.masked_fill(mask == 0, -1e4) / _TEMPERATURE
    ranked = -(shares * logits.log_softmax(dim=1)).sum(dim=1) / shares.sum(dim=1).clamp(min=1e-3)
    shown = shares.sum(dim=1) > 0.25
    # A row that shows nothing else has nothing to rank.
    mixed = shown & ((shares < 0.5) & (mask > 0)).any(dim=1)
    ranking = (ranked * mixed).sum() / mixed.sum().clamp(min=1)
    return odds.mean() + 0.2 * ranking


def _optimiser(network: LiteMoments, recipe: Recipe) -> torch.optim.Optimizer:
    used = [p for name, p in network.named_parameters() if "txt_position_embed" not in name]
    return torch.optim.AdamW(
        [
            {"params": [p for p in used if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in used if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
