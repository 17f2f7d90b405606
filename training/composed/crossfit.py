"""Vectors of photos from heads that did not see them.

The encoder's own head knows its training photos: they lie closer to their captions than any film
will. So the photos are dealt into folds; for each fold a head of the same make is trained on the
others, towards the encoder's own sentences, which stay where they are, and gives the fold its
vectors. Folds are made of whole topics: film shows what the encoder has not seen the like of, and
a photo whose twins were learnt is no stranger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class CrossFit:
    """How the heads of the folds are trained."""

    folds: int = 4
    topics: int = 40
    """Topics of a fold."""
    epochs: int = 12
    batch: int = 768
    hidden: int = 512
    dropout: float = 0.4
    noise: float = 0.1
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05


def folds(meaning: NDArray[np.float32], recipe: CrossFit, seed: int) -> NDArray[np.int64]:
    """(photos,): the fold of each photo; photos that are spoken of alike share one.

    `meaning` is (photos, w), what is said of each photo. Topics are found by k-means and dealt out
    so that the folds come out about even.
    """
    rng = np.random.default_rng([seed, 7])
    count = min(recipe.folds * recipe.topics, len(meaning))
    centres = meaning[rng.permutation(len(meaning))[:count]]
    for _ in range(12):
        topic = (meaning @ centres.T).argmax(axis=1)
        for number in range(count):
            if (own := topic == number).any():
                mean = meaning[own].mean(axis=0)
                centres[number] = mean / max(float(np.linalg.norm(mean)), 1e-6)
    topic = (meaning @ centres.T).argmax(axis=1)
    sizes = np.bincount(topic, minlength=count)
    dealt, filled = np.zeros(count, np.int64), np.zeros(recipe.folds)
    for number in np.argsort(-sizes, kind="stable").tolist():
        dealt[number] = int(filled.argmin())
        filled[dealt[number]] += sizes[number]
    fold: NDArray[np.int64] = dealt[topic]
    return fold


def unseen_vectors(
    features: NDArray[np.float16],
    sentences: NDArray[np.float32],
    fitting: Sequence[NDArray[np.int64]],
    groups: NDArray[np.int64],
    fold: NDArray[np.int64],
    recipe: CrossFit,
    seed: int,
) -> NDArray[np.float16]:
    """Unit vectors (photos, looks, dim) of every photo, by the head of its fold.

    Args:
        features: (photos, looks, f), what the tower gives.
        sentences: (sentences, dim), unit length.
        fitting: for each photo the rows of the sentences that fit it, at least one.
        groups: (photos,): photos of one group (one label) are right for one another.
        fold: (photos,): see `folds`.
    """
    looks = features.shape[1]
    vectors = np.zeros((len(features), looks, sentences.shape[1]), np.float16)
    for number in range(recipe.folds):
        mine = fold == number
        rows = np.flatnonzero(~mine)
        head = _trained(features, sentences, fitting, groups, rows, recipe, seed + number)
        with torch.inference_mode():
            for look in range(looks):
                shown = torch.from_numpy(features[mine, look].astype(np.float32))
                vectors[mine, look] = head(shown).numpy().astype(np.float16)
        print(f"  head of fold {number} trained on {len(rows)} photos", flush=True)
    return vectors


class _Head(nn.Module):
    """As the encoder's own: standardise, one hidden layer, project to unit length."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, dim: int, recipe: CrossFit) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.noise = recipe.noise
        self.layers = nn.Sequential(
            nn.Linear(len(mean), recipe.hidden),
            nn.GELU(),
            nn.Dropout(recipe.dropout),
            nn.Linear(recipe.hidden, dim),
        )

    def forward(self, features: Tensor) -> Tensor:
        x = (features - self.mean) / self.deviation
        if self.training:
            x = x + self.noise * torch.randn_like(x)
        return functional.normalize(self.layers(x), dim=-1)


def _trained(
    features: NDArray[np.float16],
    sentences: NDArray[np.float32],
    fitting: Sequence[NDArray[np.int64]],
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    recipe: CrossFit,
    seed: int,
) -> _Head:
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 11])
    sample = torch.from_numpy(
        features[rows, rng.integers(0, features.shape[1], len(rows))].astype(np.float32)
    )
    head = _Head(sample.mean(dim=0), sample.std(dim=0) + 1e-3, sentences.shape[1], recipe)
    log_scale = nn.Parameter(torch.tensor(20.0).log())
    batch = min(recipe.batch, len(rows))
    steps = recipe.epochs * (len(rows) // batch)
    matrices = [weight for weight in head.parameters() if weight.ndim > 1]
    others = [weight for weight in head.parameters() if weight.ndim == 1] + [log_scale]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=max(2, steps), pct_start=0.1
    )
    for step in range(steps):
        if step % (len(rows) // batch) == 0:
            order = rng.permutation(rows)
        taken = order[(step * batch) % (len(rows) // batch * batch) :][:batch]
        look = rng.integers(0, features.shape[1], len(taken))
        text = np.array([rng.choice(fitting[row]) for row in taken.tolist()])
        images = head(torch.from_numpy(features[taken, look].astype(np.float32)))
        same = torch.from_numpy(groups[taken][:, None] == groups[taken][None]).float()
        targets = same / same.sum(dim=1, keepdim=True)
        logits = log_scale.exp().clamp(max=100) * images @ torch.from_numpy(sentences[text]).T
        loss = functional.cross_entropy(logits, targets) + functional.cross_entropy(
            logits.T, targets
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return head.eval().requires_grad_(False)
