"""The training loop: epochs, validations, checkpoints, one log.

Recipe and order of things as in the official ``qd_detr/train.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from search.moments.qd_detr import QDDETR
from search.moments.qd_detr_config import QDDETRConfig
from training.moment_retrieval import checkpoint
from training.moment_retrieval.checkpoint import Training
from training.moment_retrieval.dataset import Batch
from training.moment_retrieval.errors import TrainingDiverged
from training.moment_retrieval.loading import Loader
from training.moment_retrieval.losses import LossWeights, losses, weighted
from training.moment_retrieval.matching import MatchingCosts
from training.moment_retrieval.run_folder import RunFolder
from training.moment_retrieval.validation import DECISIVE, device_of, predict, validate


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; official defaults are those of the command line."""

    epochs: int
    learning_rate: float
    weight_decay: float
    lr_drop: int
    """Epochs after which the learning rate falls to a tenth."""
    clip_norm: float
    eval_every: int
    """Epochs between validations; the last epoch is always validated."""
    seed: int
    weights: LossWeights
    costs: MatchingCosts


def begin(config: QDDETRConfig, recipe: Recipe, device: torch.device) -> Training:
    """A network with random weights, and its optimiser."""
    torch.manual_seed(recipe.seed)
    network = QDDETR(config).to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, recipe.lr_drop)
    return Training(network, optimiser, schedule)


def train(
    training: Training,
    recipe: Recipe,
    learn: Loader,
    control: Loader,
    folder: RunFolder,
    options: argparse.Namespace,
) -> None:
    """Train until ``recipe.epochs`` are finished; every epoch ends with a checkpoint.

    ``options`` go into the checkpoints as ``opt``. Raises `TrainingDiverged` when a loss is no
    longer finite; the last checkpoint is then that of the epoch before.
    """
    if training.finished_epochs >= recipe.epochs:
        print(f"all {recipe.epochs} epochs are done: ask for more with --epochs.")
    for epoch in range(training.finished_epochs, recipe.epochs):
        began = time.monotonic()
        means = train_epoch(training, recipe, learn, epoch)
        training.finished_epochs = epoch + 1
        brief, best = None, False
        if (epoch + 1) % recipe.eval_every == 0 or epoch + 1 == recipe.epochs:
            predictions = predict(training.network, control)
            metrics = validate(predictions, control)
            brief = metrics["brief"]
            best = training.best is None or brief[DECISIVE] > training.best
            folder.write_validation("latest", predictions, metrics)
            if best:
                training.best = brief[DECISIVE]
                folder.write_validation("best", predictions, metrics)
                checkpoint.save(folder.best, training, options)
        checkpoint.save(folder.latest, training, options)
        seconds = round(time.monotonic() - began, 2)
        folder.log({"epoch": epoch, "train": means, "val": brief, "best": best, "s": seconds})
        print(_summary(epoch, recipe.epochs, means, brief, best), flush=True)


def train_epoch(training: Training, recipe: Recipe, loader: Loader, epoch: int) -> dict[str, float]:
    """One pass over the examples; the mean over its steps of every weighted loss."""
    training.network.train()
    device = device_of(training.network)
    sums: dict[str, float] = {}
    title = f"epoch {epoch + 1}/{recipe.epochs}"
    batches = loader.shuffled(epoch)
    # On a terminal only: in a file or a pipe the summary of each epoch is enough.
    with tqdm(batches, title, len(loader), leave=False, disable=None, file=sys.stderr) as bar:
        for number, batch in enumerate(bar, start=1):
            terms = step(training, recipe, batch.to(device), f"{title}, step {number}")
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            bar.set_postfix_str(_losses(sums, number), refresh=False)
    training.schedule.step()
    return {name: value / len(loader) for name, value in sums.items()}


def step(training: Training, recipe: Recipe, batch: Batch, place: str) -> dict[str, float]:
    """Learn from one batch, on the network's device; the weighted losses.

    ``place`` names the batch in the sentence of a `TrainingDiverged`.
    """
    network = training.network
    outputs = network.forward_with_negatives(**batch.inputs)
    _require_finite(outputs["pred_spans"], place)  # the matcher cannot live with NaN
    terms = weighted(losses(outputs, batch.targets, recipe.costs, recipe.weights), recipe.weights)
    training.optimiser.zero_grad()
    torch.autograd.backward(terms["loss_overall"])
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
    _require_finite(norm, place)
    training.optimiser.step()
    values = torch.stack(list(terms.values())).tolist()
    return dict(zip(terms, values, strict=True))


def _require_finite(numbers: Tensor, place: str) -> None:
    if not torch.isfinite(numbers).all():
        raise TrainingDiverged(
            f"{place}: the numbers are no longer finite; start a new run with a lower "
            "--learning-rate (checkpoints of the epochs before are kept)."
        )


def _losses(sums: dict[str, float], steps: int) -> str:
    """E.g. "loss 9.41 (span 0.93, giou 0.71, label 0.60, saliency 4.89)"; last layer only."""
    parts = ", ".join(
        f"{name} {sums[f'loss_{name}'] / steps:.2f}"
        for name in ("span", "giou", "label", "saliency")
    )
    return f"loss {sums['loss_overall'] / steps:.2f} ({parts})"


def _summary(
    epoch: int, epochs: int, means: dict[str, float], brief: dict[str, Any] | None, best: bool
) -> str:
    """What is printed of an epoch."""
    line = f"epoch {epoch + 1}/{epochs}  {_losses(means, 1)}"
    if brief is None:
        return line
    figures = "  ".join(
        f"{name} {brief[f'MR-full-{name}']:.2f}" for name in ("R1@0.5", "R1@0.7", "mAP")
    )
    return f"{line}  val {figures}{'  best so far' if best else ''}"
