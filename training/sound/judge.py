"""What a tower is worth: text to sound over a split, and which label is nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.logmel import MEL_BINS, POWER_FLOOR
from training.sound.dataset import Sound

WINDOW = 201
"""Frames of a 2 s window, as the indexer cuts them."""

STEP = 50
"""Frames from window to window of a sound that is judged as a whole: half a second."""

BINS_TO_8_KHZ = 49


@dataclass(frozen=True)
class Figures:
    """Shares of 1."""

    recall_1: float
    """Of labels: a sound with that precise label is the best of the split."""
    recall_5: float
    recall_10: float
    mean_average_precision: float
    accuracy: float
    """Of sounds: the nearest label is the precise one."""

    def __str__(self) -> str:
        return (
            f"R@1 {self.recall_1:.3f}  R@5 {self.recall_5:.3f}  R@10 {self.recall_10:.3f}  "
            f"mAP {self.mean_average_precision:.3f}  accuracy {self.accuracy:.3f}"
        )


def windows(spectrum: NDArray[np.float16], cut: int = MEL_BINS) -> Tensor:
    """Overlapping 2 s windows of a whole sound, (k, 201, 64) dB; a short one is filled up with
    silence. Bins from `cut` on are emptied."""
    floor = 10 * np.log10(POWER_FLOOR)
    lacking = max(0, WINDOW - len(spectrum))
    whole = np.pad(spectrum.astype(np.float32), ((0, lacking), (0, 0)), constant_values=floor)
    whole[:, cut:] = floor
    starts = list(range(0, len(whole) - WINDOW + 1, STEP))
    return torch.from_numpy(np.stack([whole[start : start + WINDOW] for start in starts]))


@torch.inference_mode()
def sound_vectors(
    tower: torch.nn.Module, spectra: Sequence[NDArray[np.float16]], cut: int = MEL_BINS
) -> Tensor:
    """(sounds, dim) of unit length: the mean over each sound's windows."""
    tower.eval()
    parts = [windows(spectrum, cut) for spectrum in spectra]
    encoded = encode(tower, torch.cat(parts))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    means = [
        encoded[end - len(part) : end].mean(dim=0) for part, end in zip(parts, ends, strict=True)
    ]
    return torch.nn.functional.normalize(torch.stack(means), dim=1)


def encode(tower: torch.nn.Module, windows: Tensor) -> Tensor:
    """(n, frames, 64) dB to (n, dim), not too many at once."""
    return torch.cat([tower(windows[start : start + 128]) for start in range(0, len(windows), 128)])


def judge(sounds: Sequence[Sound], vectors: Tensor, queries: Mapping[str, Tensor]) -> Figures:
    """
    Args:
        sounds: of one split.
        vectors: (sounds, dim).
        queries: by label, (dim,): only labels that some sound of the split has as its first count.
    """
    labels = sorted({sound.label for sound in sounds} & queries.keys())
    table = torch.stack([queries[label] for label in labels])
    cosines = vectors @ table.T
    truth = np.array([[sound.label == label for label in labels] for sound in sounds])
    ranked = np.take_along_axis(truth, (-cosines).argsort(dim=0).numpy(), axis=0)
    first = ranked.argmax(axis=0)
    hits = ranked.cumsum(axis=0)
    precision = (hits / np.arange(1, len(sounds) + 1)[:, None] * ranked).sum(axis=0) / hits[-1]
    known = truth.any(axis=1)
    nearest = truth[np.arange(len(sounds)), cosines.argmax(dim=1).numpy()]
    recall_1, recall_5, recall_10 = (float((first < k).mean()) for k in (1, 5, 10))
    return Figures(
        recall_1, recall_5, recall_10, float(precision.mean()), float(nearest[known].mean())
    )
