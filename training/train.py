"""The training loop, for image heads alone or with the sentence side beside them."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import minilm
from training.dataset import TrainingSet, draw, draw_words
from training.heads import (
    ImageHead,
    LiteHeads,
    TextHead,
    pair_loss,
    pair_targets,
    teacher_loss,
)
from training.hidden import HiddenStates, UpperLayers
from training.recipe import Recipe, Tuning

MAX_SCALE = 100.0
"""Upper limit of the inverse temperatures, as in CLIP."""

TOLD = 5
"""How often a training says how far it is."""

Read = Callable[[NDArray[np.int64]], Tensor]
"""Row numbers of sentences to their unit vectors (rows, 384) float32."""

Groups = list[dict[str, object]]


def train(data: TrainingSet, recipe: Recipe, seed: int, start: LiteHeads) -> LiteHeads:
    """Trains the heads in `start` on `data`; a text head that requires no gradient stays as it is.

    The same seed gives the same weights on the same machine.
    """
    groups = _groups(start, recipe.learning_rate, recipe.weight_decay)
    _run(start, groups, data, recipe, seed, lambda rows: data.sentences[torch.from_numpy(rows)])
    return start


def tune(
    data: TrainingSet, hidden: HiddenStates, upper: UpperLayers, recipe: Tuning, seed: int
) -> LiteHeads:
    """Trains the upper layers of the sentence tower in place, with new heads, which it returns.

    In two rounds: the rates rise and fall a second time, from where the first round ended (SGDR,
    Loshchilov and Hutter, 2017).

    Args:
        hidden: what the lower layers say of the sentences of `data`, in its order.
    """
    heads = tune_once(new_heads(data, recipe, seed), data, hidden, upper, recipe, seed)
    if not recipe.more_epochs:
        return heads
    again = dataclasses.replace(recipe, epochs=recipe.more_epochs)
    start = LiteHeads(heads.image, heads.text)
    return tune_once(start, data, hidden, upper, again, seed + 1)


def tune_once(
    heads: LiteHeads,
    data: TrainingSet,
    hidden: HiddenStates,
    upper: UpperLayers,
    recipe: Tuning,
    seed: int,
) -> LiteHeads:
    """One round of `tune`, on from these heads and layers as they are."""
    heads.requires_grad_(True)
    upper.requires_grad_(True)
    rng = np.random.default_rng([seed, 1])
    groups = [
        *_groups(heads, recipe.learning_rate, recipe.weight_decay),
        *_groups(upper, recipe.tower_rate, recipe.tower_decay),
    ]

    def read(rows: NDArray[np.int64]) -> Tensor:
        vectors: Tensor = upper(hidden, rows, recipe.word_dropout, rng)
        return vectors

    _run(heads, groups, data, recipe, seed, read)
    upper.requires_grad_(False)
    return heads


def new_heads(
    data: TrainingSet, recipe: Recipe, seed: int, text: TextHead | None = None
) -> LiteHeads:
    """Untrained heads that standardise by the mean and deviation of the plain training pictures;
    `text`: the sentence side to begin with, instead of an untrained one.
    """
    torch.manual_seed(seed)
    plain = data.features[:, 0].float()
    mean, deviation = plain.mean(dim=0), plain.std(dim=0) + 1e-3
    image = ImageHead(mean, deviation, recipe.hidden, recipe.dropout, recipe.noise)
    return LiteHeads(image, TextHead(minilm.WIDTH) if text is None else text)


def learning_rate_factor(step: int, steps: int, warm_up: int, final: float) -> float:
    """Linear rise to 1, then half a cosine down to `final`."""
    cosine = 0.5 * (1 + np.cos(np.pi * step / max(steps, 1)))
    return float(min(1.0, (step + 1) / warm_up) * (final + (1 - final) * cosine))


def _groups(module: nn.Module, rate: float, decay: float) -> Groups:
    """Of what may learn in a module: matrices decay, biases and scales do not."""
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    return [
        {"params": [w for w in learning if w.ndim > 1], "weight_decay": decay, "lr": rate},
        {"params": [w for w in learning if w.ndim <= 1], "weight_decay": 0.0, "lr": rate},
    ]


def _run(
    heads: LiteHeads,
    groups: Groups,
    data: TrainingSet,
    recipe: Recipe,
    seed: int,
    read: Read,
) -> None:
    """The loop itself; leaves the heads ready for use."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    batches = list(_batches(len(data.features), recipe, rng))
    optimiser = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: learning_rate_factor(step, len(batches), recipe.warm_up, recipe.final_rate),
    )
    heads.train()
    for step, rows in enumerate(batches, 1):
        loss = _loss(heads, data, recipe, rows, rng, read)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % max(1, len(batches) // TOLD) == 0:
            print(f"step {step} of {len(batches)}, loss {loss.item():.2f}", flush=True)
    heads.eval().requires_grad_(False)


def _batches(photos: int, recipe: Recipe, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Photo numbers of every step: each epoch is one shuffle, its incomplete last batch dropped;
    a set that is smaller than a batch is one batch.
    """
    size = min(recipe.batch, photos)
    for _ in range(recipe.epochs):
        order = rng.permutation(photos)
        for start in range(0, photos - size + 1, size):
            yield order[start : start + size]


def _loss(
    heads: LiteHeads,
    data: TrainingSet,
    recipe: Recipe,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    read: Read,
) -> Tensor:
    """Pair loss of one random view and one random sentence a photo, plus the teacher's."""
    views = rng.integers(0, data.features.shape[1], len(rows))
    sentences = draw_words(data, rows, recipe.short_share, rng)
    classes = np.sort(rng.permutation(len(data.class_choices))[: recipe.teacher_classes])
    names = draw([data.class_choices[number] for number in classes], rng)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        images = heads.image(data.features[rows, views].float())
        vectors = read(np.concatenate([sentences, names]))
    images, texts = images.float(), heads.text(vectors.float())
    pairs = pair_loss(
        images, texts[: len(rows)], _scale(heads.log_scale), pair_targets(data.groups[rows])
    )
    if not recipe.teacher_weight:
        return pairs
    judged = slice(0, recipe.teacher_photos)
    beliefs = data.beliefs[rows[judged], views[judged]].float().softmax(dim=1)
    teacher = teacher_loss(
        images[judged],
        texts[len(rows) :],
        _scale(heads.log_teacher_scale),
        beliefs[:, torch.from_numpy(classes)],
    )
    return pairs + recipe.teacher_weight * teacher


def _scale(logarithm: Tensor) -> Tensor:
    return logarithm.exp().clamp(max=MAX_SCALE)
