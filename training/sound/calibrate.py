"""How sure a cosine is: Platt's method on validation sounds as a film has them.

Windows are single sounds, sounds laid over others at any level, and noise or silence with nothing
in them. Queries are what people type for each label, and sentences about pictures, which are never
heard. See `storage.bundles.SoundCalibration` for what is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.sound.augment import Augmentation, Augmenter
from training.sound.dataset import Sound
from training.sound.judge import WINDOW, encode, windows

NEAREST = 8
"""Of the bank's sounds, how many count as near a sentence."""

BANK_PER_LABEL = 3

NEWTON_STEPS = 25

LAYS = 8
"""Each window is heard so many times, alone or with another."""

FILM = replace(
    Augmentation(), mixed=0.75, background=1.0, background_db=20.0, nothing=0.15, cut=0.3
)
"""How the windows are laid. Masks, which no film has, are taken away as well."""


@dataclass(frozen=True)
class Calibration:
    """Weights of the log-odds."""

    bias: float
    cosine: float
    bank_mean: float
    bank_nearest: float

    def odds(self, cosines: Tensor, queries: Tensor, bank: Tensor) -> Tensor:
        """(windows, queries) log-odds of cosines of queries (queries, dim), bank (rows, dim)."""
        near = queries @ bank.T
        offset = (
            self.bias
            + self.bank_mean * near.mean(dim=1)
            + self.bank_nearest * near.topk(NEAREST, dim=1).values.mean(dim=1)
        )
        return self.cosine * cosines + offset


def bank(sounds: Sequence[Sound], vectors: Tensor) -> Tensor:
    """Vectors of a few training sounds of every label, (rows, dim), from as many recordings."""
    chosen: list[int] = []
    for label in sorted({sound.label for sound in sounds}):
        own = [row for row, sound in enumerate(sounds) if sound.label == label]
        by_recording = {sounds[row].recording: row for row in own}
        rows = [*by_recording.values(), *(row for row in own if row not in by_recording.values())]
        chosen += rows[:BANK_PER_LABEL]
    return vectors[chosen]


@torch.inference_mode()
def film_windows(
    tower: nn.Module,
    sounds: Sequence[Sound],
    spectra: Sequence[NDArray[np.float16]],
    labels: Sequence[str],
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Vectors (n, dim) of windows as a film has them, and how far each label is heard (n, labels).

    0.2 to 0.8 is a sound that one may or may not hear under the other: left out of every figure.
    """
    settings = replace(FILM, frequency_mask=0, time_mask_s=0.0)
    augment = Augmenter(settings, torch.Generator().manual_seed(seed))
    cut = torch.cat([windows(spectrum)[:1] for spectrum in spectra])
    truth = torch.tensor([[float(label in s.labels) for label in labels] for s in sounds])
    assert cut.shape[1] == WINDOW
    tower.eval()
    vectors, heard = [], []
    for _ in range(LAYS):
        laid, told = augment(cut, truth)
        vectors.append(encode(tower, laid))
        heard.append(told)
    return torch.cat(vectors), torch.cat(heard)


def fit(vectors: Tensor, heard: Tensor, queries: Tensor, bank_rows: Tensor) -> Calibration:
    """Logistic regression over all pairs of windows and queries.

    Args:
        vectors: (n, dim).
        heard: (n, queries) 0 to 1.
        queries: (queries, dim).
        bank_rows: (rows, dim).
    """
    near = queries @ bank_rows.T
    cosines = vectors @ queries.T
    facts = torch.stack(
        [
            torch.ones_like(cosines),
            cosines,
            near.mean(dim=1).expand_as(cosines),
            near.topk(NEAREST, dim=1).values.mean(dim=1).expand_as(cosines),
        ],
        dim=-1,
    )
    clear = (heard < 0.2) | (heard > 0.8)
    facts, truth = facts[clear].double(), (heard[clear] > 0.5).double()
    weights = torch.zeros(4, dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        said = (facts @ weights).sigmoid()
        slope = facts.T @ (said - truth)
        bend = (facts * (said * (1 - said))[:, None]).T @ facts
        weights = weights - torch.linalg.solve(bend, slope)
    return Calibration(*(round(float(weight), 4) for weight in weights))


def calibration_error(odds: Tensor, heard: Tensor, bins: int = 10) -> float:
    """Mean distance between what is said and what is true, over bins of equal width, by pairs said
    to be at least 1 % likely."""
    clear = (heard < 0.2) | (heard > 0.8)
    said, truth = odds[clear].sigmoid(), (heard[clear] > 0.5).float()
    said, truth = said[said >= 0.01], truth[said >= 0.01]
    place = (said * bins).long().clamp(max=bins - 1)
    error = 0.0
    for number in range(bins):
        own = place == number
        if own.any():
            error += float(own.float().mean() * (said[own].mean() - truth[own].mean()).abs())
    return error


def separation(odds: Tensor, heard: Tensor) -> float:
    """Share of (heard, not heard) pairs in the right order (area under the ROC curve)."""
    clear = (heard < 0.2) | (heard > 0.8)
    said, truth = odds[clear], heard[clear] > 0.5
    ranks = torch.empty_like(said)
    ranks[said.argsort()] = torch.arange(1, len(said) + 1, dtype=said.dtype)
    positives = float(truth.sum())
    negatives = len(said) - positives
    return (float(ranks[truth].double().sum()) - positives * (positives + 1) / 2) / (
        positives * negatives
    )
