"""The network: log-mel windows to vectors that share a space with sentences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from indexer.logmel import MEL_BINS
from training import efficientnet_lite
from training.efficientnet_lite import MBConv, SameConv

DIM = 256
"""Length of a sound's vector, and of a sentence's."""

SENTENCE_WIDTH = 384

FLOOR_DB = -80.0
"""What is quieter counts as silence: recordings differ most in what lies below."""

BLOCKS = 15
"""Of EfficientNet-Lite2: stem and stages 1 to 5, a sixteenth of the frames, 4 bands, 120 wide."""

HIDDEN = 512


def scaled(decibels: Tensor) -> Tensor:
    """(n, frames, 64) dB to (n, 1, frames // 2, 64) about -2…2, neighbouring frames averaged."""
    even = decibels.clamp(min=FLOOR_DB)[:, : decibels.shape[1] // 2 * 2]
    paired = (even[:, 0::2] + even[:, 1::2]) / 2
    return ((paired + 40.0) / 20.0)[:, None]


def unit(vectors: Tensor) -> Tensor:
    """Rows of unit length."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.clamp(min=1e-8)


class Trunk(nn.Module):
    """Stem and first stages of EfficientNet-Lite2, looking at a spectrum as at a grey picture.

    Its weights start from photographs: edges, textures and repetition are the same thing here.
    (n, 1, t, 64) to (n, 120, t / 16, 4).
    """

    width = 120
    bands = MEL_BINS // 16

    def __init__(self) -> None:
        super().__init__()
        trained = efficientnet_lite.load().requires_grad_(True)
        stem = trained._conv_stem.weight
        self.stem = nn.Conv2d(1, stem.shape[0], 3, stride=2, padding=1, bias=False)
        self.stem.weight.data = stem.data.sum(dim=1, keepdim=True)
        self.norm = trained._bn0
        self.blocks = nn.ModuleList(trained._blocks[:BLOCKS])
        for part in self.modules():
            if isinstance(part, SameConv):  # padded for any size, not for 260 x 260
                side = part.kernel_size[0] // 2
                part.pad, part.padding = None, (side, side)
            elif isinstance(part, nn.BatchNorm2d):
                part.momentum = 0.05

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)  # a third quicker on a processor
        x = functional.relu6(self.norm(self.stem(x)))
        for block in self.blocks:
            assert isinstance(block, MBConv)
            x = block(x)
        return x


class SoundTower(nn.Module):
    """(n, frames, 64) dB to (n, 256) of unit length."""

    def __init__(self, classes: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.per_bin = nn.BatchNorm1d(MEL_BINS)
        self.trunk = Trunk()
        self.hidden = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(self.trunk.width * self.trunk.bands, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.project = nn.Linear(HIDDEN, DIM)
        self.classify = nn.Linear(HIDDEN, classes)

    def features(self, decibels: Tensor) -> Tensor:
        """(n, frames, 64) dB to (n, HIDDEN)."""
        x = scaled(decibels)
        x = self.per_bin(x[:, 0].transpose(1, 2)).transpose(1, 2)[:, None]
        x = self.trunk(x)  # (n, width, t, bands)
        x = x.amax(dim=2) + x.mean(dim=2)
        hidden: Tensor = self.hidden(x.flatten(1))
        return hidden

    def forward(self, decibels: Tensor) -> Tensor:
        return unit(self.project(self.features(decibels)))


class Choir(nn.Module):
    """Several towers of one space, heard as one: the mean of their vectors, of unit length."""

    def __init__(self, members: Sequence[SoundTower]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, decibels: Tensor) -> Tensor:
        return unit(torch.stack([member(decibels) for member in self.members]).mean(dim=0))


class Words(nn.Module):
    """Sentence vectors (n, 384) to (n, 256) of unit length: one matrix, so that what it has not
    been told it does not invent."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(SENTENCE_WIDTH, DIM)

    def forward(self, sentences: Tensor) -> Tensor:
        return unit(self.project(sentences))


def parameters(module: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(p.numel() for p in module.parameters())


def example_windows(count: int) -> Tensor:
    """Spectra of the right shape, for exports and smoke tests: (count, 201, 64) dB."""
    return torch.randn(count, 201, MEL_BINS) * 10 - 40
