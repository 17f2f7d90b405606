"""The training loop of the two heads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import minilm
from training.dataset import TrainingSet, draw
from training.heads import (
    ImageHead,
    LiteHeads,
    TextHead,
    pair_loss,
    pair_targets,
    teacher_loss,
)

MAX_SCALE = 100.0
"""Upper limit of the inverse temperatures, as in CLIP."""


@dataclass(frozen=True)
class Recipe:
    """Every number that was chosen, on the val split; README.md says what else was tried."""

    augmented_views: int = 3
    """Views of each photo beside the plain one; each step draws one of them all."""
    epochs: int = 40
    batch: int = 768
    hidden: int = 1536
    """Width of the image head's hidden layer."""
    dropout: float = 0.4
    noise: float = 0.1
    """Deviation of the noise added to standardised features."""
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    """On matrices only."""
    warm_up: int = 50
    """Steps of linear rise before the cosine."""
    final_rate: float = 0.02
    """Where the cosine ends, as a share of `learning_rate`."""
    teacher_weight: float = 2.0
    teacher_photos: int = 384
    """Photos of each batch that the classifier judges."""


def train(data: TrainingSet, recipe: Recipe, seed: int) -> LiteHeads:
    """Heads trained on `data`; the same seed gives the same weights on the same machine."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    heads = new_heads(data, recipe)
    batches = list(_batches(len(data.features), recipe, rng))
    optimiser, schedule = _optimiser(heads, recipe, len(batches))
    heads.train()
    for rows in batches:
        loss = _loss(heads, data, recipe, rows, rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return heads.eval().requires_grad_(False)


def new_heads(data: TrainingSet, recipe: Recipe) -> LiteHeads:
    """Untrained heads that standardise by the mean and deviation of the training features."""
    features = data.features.flatten(0, 1).float()
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-3
    image = ImageHead(mean, deviation, recipe.hidden, recipe.dropout, recipe.noise)
    return LiteHeads(image, TextHead(minilm.WIDTH))


def learning_rate_factor(step: int, steps: int, warm_up: int, final: float) -> float:
    """Linear rise to 1, then half a cosine down to `final`."""
    cosine = 0.5 * (1 + np.cos(np.pi * step / steps))
    return float(min(1.0, (step + 1) / warm_up) * (final + (1 - final) * cosine))


def _optimiser(
    heads: LiteHeads, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    matrices = [weight for weight in heads.parameters() if weight.ndim > 1]
    others = [weight for weight in heads.parameters() if weight.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: learning_rate_factor(step, steps, recipe.warm_up, recipe.final_rate),
    )
    return optimiser, schedule


def _batches(photos: int, recipe: Recipe, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Photo numbers of every step: each epoch is one shuffle, its incomplete last batch dropped."""
    for _ in range(recipe.epochs):
        order = rng.permutation(photos)
        for start in range(0, photos - recipe.batch + 1, recipe.batch):
            yield order[start : start + recipe.batch]


def _loss(
    heads: LiteHeads,
    data: TrainingSet,
    recipe: Recipe,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> Tensor:
    """Pair loss of one random view and one random sentence a photo, plus the teacher's."""
    views = rng.integers(0, data.features.shape[1], len(rows))
    sentences = data.sentences[draw([data.choices[row] for row in rows], rng)]
    images = heads.image(data.features[rows, views].float())
    targets = pair_targets(data.groups[rows])
    scale = heads.log_scale.exp().clamp(max=MAX_SCALE)
    loss = pair_loss(images, heads.text(sentences), scale, targets)

    judged = slice(0, recipe.teacher_photos)
    beliefs = data.beliefs[rows[judged], views[judged]].float().softmax(dim=1)
    classes = heads.text(data.sentences[draw(data.class_choices, rng)])
    teacher_scale = heads.log_teacher_scale.exp().clamp(max=MAX_SCALE)
    return loss + recipe.teacher_weight * teacher_loss(
        images[judged], classes, teacher_scale, beliefs
    )
