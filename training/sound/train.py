"""Learns the tower and its words."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from indexer.logmel import MEL_BINS, POWER_FLOOR
from training.sound.augment import Augmentation, Augmenter
from training.sound.dataset import Sound
from training.sound.network import SoundTower, Words, unit

_FLOOR_DB = 10.0 * math.log10(POWER_FLOOR)


@dataclass(frozen=True)
class Recipe:
    """What a run can be told."""

    epochs: int = 24
    """Passes over as many windows as there are sounds."""
    batch: int = 32
    learning_rate: float = 2e-3
    """The peak of a one-cycle schedule; the pretrained trunk learns at `trunk_rate` of it."""
    trunk_rate: float = 0.5
    weight_decay: float = 0.02
    smoothing: float = 0.05
    rarity: float = 0.5
    """Sounds are drawn with the probability 1 / (sounds of the label) ** rarity."""
    average: float = 0.995
    """Decay of the moving average of the weights, which is what is kept."""
    column_weight: float = 0.5
    """Of text to sound: each label's own sounds against all others of the batch."""
    pair_weight: float = 1.0
    """Of each pair by itself, heard or not; it alone sees windows with nothing in them."""
    captions: int = 32
    """Sentences about pictures in each step, none of which is heard."""
    sentence_noise: float = 0.3
    """Length of the random vector added to a sentence's, which has length 1."""
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, repr=False)
class TrainingSet:
    """Sounds with their spectra, and everything that is typed."""

    sounds: Sequence[Sound]
    spectra: Sequence[NDArray[np.float16]]
    labels: Sequence[str]
    """Narrow labels first, then wide ones."""
    narrow: int
    choices: Sequence[Tensor]
    """By label, (k, width): sentence vectors, that of the label itself first."""
    captions: Tensor
    """(captions, width): sentences about pictures."""

    def targets(self) -> Tensor:
        """(sounds, labels) 0 or 1."""
        return torch.tensor(
            [[float(label in sound.labels) for label in self.labels] for sound in self.sounds]
        )


class Objective(nn.Module):
    """The heads' scales and the sum of all losses."""

    def __init__(self, recipe: Recipe, narrow: int) -> None:
        super().__init__()
        self._recipe = recipe
        self._narrow = narrow
        self.scale = nn.Parameter(torch.tensor(math.log(15.0)))
        self.pair_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.pair_bias = nn.Parameter(torch.tensor(-5.0))

    def forward(self, vectors: Tensor, texts: Tensor, captions: Tensor, heard: Tensor) -> Tensor:
        """
        Args:
            vectors: (n, dim) of sounds.
            texts: (labels, dim).
            captions: (k, dim).
            heard: (n, labels) 0 to 1.
        """
        narrow = heard[:, : self._narrow]
        cosines = vectors @ texts.T
        logits = self.scale.exp() * cosines[:, : self._narrow]
        loss = named_entropy(logits, narrow, self._recipe.smoothing)
        present = narrow.amax(dim=0) > 0.5
        columns = narrow[:, present].T
        columns = columns / columns.sum(dim=1, keepdim=True)
        loss = loss + self._recipe.column_weight * _soft_entropy(logits[:, present].T, columns, 0.0)
        every = torch.cat([cosines, vectors @ captions.T], dim=1)
        truth = functional.pad(heard, (0, len(captions)))
        odds = self.pair_scale.exp() * every + self.pair_bias
        pairs = functional.binary_cross_entropy_with_logits(odds, truth, reduction="none")
        return loss + self._recipe.pair_weight * pairs.sum(dim=1).mean() / 3.0


def train(
    data: TrainingSet,
    recipe: Recipe,
    seed: int,
    report: Callable[[int, SoundTower, Words, str], None] | None = None,
    towards: Words | None = None,
) -> tuple[SoundTower, Words]:
    """Train one tower; deterministic on one thread of one kind of machine.

    Args:
        towards: words that are finished, for a further tower of the same space; None to learn them.
        report: called after some epochs with the number of the epoch, the averaged networks and a
            line about the run.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    tower, words = SoundTower(data.narrow), Words()
    if towards is not None:
        words.load_state_dict(towards.state_dict())
        words.requires_grad_(False)
    objective = Objective(recipe, data.narrow)
    learner = nn.ModuleList([tower, words, objective])
    kept_tower = copy.deepcopy(tower).requires_grad_(False)
    kept_words = copy.deepcopy(words).requires_grad_(False)
    trunk = list(tower.trunk.parameters())
    others = [*tower.hidden.parameters(), *tower.project.parameters()]
    others += [*tower.classify.parameters(), *tower.per_bin.parameters()]
    others += [*objective.parameters(), *([] if towards else words.parameters())]
    rates = [recipe.learning_rate * recipe.trunk_rate, recipe.learning_rate]
    optimizer = torch.optim.AdamW(
        [{"params": trunk, "lr": rates[0]}, {"params": others, "lr": rates[1]}],
        weight_decay=recipe.weight_decay,
    )
    steps = len(data.sounds) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=recipe.epochs * steps, pct_start=0.15
    )
    began = time.monotonic()
    step_number, total = 0, 0.0
    for epoch in range(1, recipe.epochs + 1):
        learner.train()
        total = 0.0
        for windows, heard in drawn_sounds(data, recipe, generator, steps):
            texts = drawn_texts(data, recipe, generator)
            some = torch.randint(len(data.captions), (recipe.captions,), generator=generator)
            features = tower.features(windows)
            loss = objective(
                unit(tower.project(features)), words(texts), words(data.captions[some]), heard
            ) + named_entropy(tower.classify(features), heard[:, : data.narrow], recipe.smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step_number += 1
            decay = min(recipe.average, 1 - 1 / (1 + step_number / 4))
            _average(kept_tower, tower, decay)
            _average(kept_words, words, decay)
            total += float(loss.detach())
        if report is not None:
            line = f"loss {total / steps:.3f}  {time.monotonic() - began:.0f} s"
            report(epoch, kept_tower, kept_words, line)
    return kept_tower.eval(), kept_words.eval()


_FRAMES = (200, 200, 240, 300)
"""Lengths of training windows, drawn for each batch; the indexer's is 201."""


def drawn_sounds(
    data: TrainingSet, recipe: Recipe, generator: torch.Generator, batches: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of augmented windows, (batch, frames, 64) dB, and how far each label is heard."""
    augment = Augmenter(recipe.augmentation, generator)
    targets = data.targets()
    counts = Counter(sound.label for sound in data.sounds)
    odds = torch.tensor([counts[sound.label] ** -recipe.rarity for sound in data.sounds])
    drawn = torch.multinomial(odds, batches * recipe.batch, True, generator=generator)
    for rows in drawn.reshape(batches, recipe.batch):
        frames = _FRAMES[int(torch.randint(len(_FRAMES), (1,), generator=generator))]
        cut = torch.stack([_window(data.spectra[row], frames, generator) for row in rows.tolist()])
        yield augment(cut, targets[rows])


def _window(spectrum: NDArray[np.float16], frames: int, generator: torch.Generator) -> Tensor:
    """A random stretch, (frames, 64) dB; a short sound is repeated or stands in silence."""
    lacking = frames - len(spectrum)
    if lacking <= 0:
        start = int(torch.randint(1 - lacking, (1,), generator=generator))
        return torch.from_numpy(spectrum[start : start + frames].astype(np.float32))
    if torch.rand(1, generator=generator) < 0.5:
        often = -(-frames // len(spectrum))
        return torch.from_numpy(np.tile(spectrum, (often, 1))[:frames].astype(np.float32))
    before = int(torch.randint(lacking + 1, (1,), generator=generator))
    whole = torch.full((frames, MEL_BINS), _FLOOR_DB)
    whole[before : before + len(spectrum)] = torch.from_numpy(spectrum.astype(np.float32))
    return whole


def drawn_texts(data: TrainingSet, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """One sentence vector a label, (labels, width): in a third of the draws the label itself."""
    chosen = []
    for rows in data.choices:
        draw = int(torch.randint(len(rows), (1,), generator=generator))
        itself = torch.rand(1, generator=generator) < 0.33
        chosen.append(rows[0 if itself else draw])
    vectors = torch.stack(chosen)
    noise = torch.randn(vectors.shape, generator=generator) * vectors.shape[1] ** -0.5
    return functional.normalize(vectors + recipe.sentence_noise * noise, dim=1)


def named_entropy(logits: Tensor, heard: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy of rows (n, labels) against what is heard, shared out; rows in which
    nothing is heard are left out."""
    named = heard.sum(dim=1) > 0
    shares = heard[named] / heard[named].sum(dim=1, keepdim=True)
    return _soft_entropy(logits[named], shares, smoothing)


def _soft_entropy(logits: Tensor, truth: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy of rows against rows that sum to 1."""
    truth = truth * (1 - smoothing) + smoothing / truth.shape[1]
    return -(truth * logits.log_softmax(dim=1)).sum(dim=1).mean()


@torch.no_grad()
def _average(kept: nn.Module, learner: nn.Module, decay: float) -> None:
    """Let the average follow: parameters, and what batch norm counts."""
    for old, new in zip(kept.state_dict().values(), learner.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)
