"""Fits the words anew to a tower that stays as it is: after training, or for another text tower.

What was learnt together with the tower ranks many sounds well, what is fitted afterwards the first
ones and unusual wordings; halfway between the two both hold (val: the figures are in README.md).
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.sound.network import Words
from training.sound.train import Objective, Recipe, TrainingSet, drawn_sounds, drawn_texts

BATCHES = 60
"""Of augmented windows, encoded once."""

STEPS = 600
BATCH = 256
LEARNING_RATE = 2e-3

RIDGE = 1.0
"""Of `carried`, on some 7,000 sentences."""

SENTENCE_NOISE = 0.6
"""Instead of the recipe's: with twice the noise, wordings that nobody trained on find more (val mAP
of 30 such queries 0.38 instead of 0.33), and label words no less."""


def refit(tower: nn.Module, words: Words, data: TrainingSet, recipe: Recipe, seed: int) -> Words:
    """Words that fit a tower, (n, frames, 64) dB to (n, dim), begun from those that are there."""
    generator = torch.Generator().manual_seed(seed + 1)
    light = replace(recipe.augmentation, mixed=0.4)
    recipe = replace(recipe, augmentation=light, sentence_noise=SENTENCE_NOISE)
    vectors, heard = _heard(tower, data, recipe, generator)
    fitted = fit_words(vectors, heard, words, data, recipe, generator)
    return halfway(words, fitted, torch.cat([*data.choices, data.captions]))


@torch.no_grad()
def carried(sentences: Tensor, vectors: Tensor) -> Words:
    """Words that say of sentences, as another text tower encodes them, what was said before.

    Args:
        sentences: (n, width) of the text tower that is there now.
        vectors: (n, dim) that the words of before gave the same texts.
    """
    inputs = functional.pad(sentences, (0, 1), value=1.0)
    ridge = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1])
    solution = torch.linalg.solve(ridge, inputs.T @ vectors)
    words = Words()
    words.project.weight.copy_(solution[:-1].T)
    words.project.bias.copy_(solution[-1])
    return words.eval().requires_grad_(False)


@torch.no_grad()
def halfway(one: Words, other: Words, sentences: Tensor) -> Words:
    """The mean of two matrices, each scaled so that its outputs are 1 long on average."""
    mean = Words()
    scales = [float(words.project(sentences).norm(dim=1).mean()) for words in (one, other)]
    for target, first, second in zip(
        mean.parameters(), one.parameters(), other.parameters(), strict=True
    ):
        target.copy_((first / scales[0] + second / scales[1]) / 2)
    return mean.eval().requires_grad_(False)


@torch.no_grad()
def _heard(
    tower: nn.Module, data: TrainingSet, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Vectors and targets of augmented windows."""
    tower.eval()
    vectors, heard = [], []
    for windows, told in drawn_sounds(data, recipe, generator, BATCHES):
        vectors.append(tower(windows))
        heard.append(told)
    return torch.cat(vectors), torch.cat(heard)


def fit_words(
    vectors: Tensor,
    heard: Tensor,
    words: Words,
    data: TrainingSet,
    recipe: Recipe,
    generator: torch.Generator,
) -> Words:
    """The same for windows that are encoded already."""
    fitted = copy.deepcopy(words).train().requires_grad_(True)
    objective = Objective(recipe, data.narrow)
    optimizer = torch.optim.AdamW(
        [*fitted.parameters(), *objective.parameters()],
        lr=LEARNING_RATE,
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(vectors), (BATCH,), generator=generator)
        some = torch.randint(len(data.captions), (recipe.captions,), generator=generator)
        texts = fitted(drawn_texts(data, recipe, generator))
        loss = objective(vectors[rows], texts, fitted(data.captions[some]), heard[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return fitted.eval().requires_grad_(False)
