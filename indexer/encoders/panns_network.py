"""Cnn14 of the PANNs, for inference: log-mel spectrograms in, embeddings and tags out.

Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition",
IEEE/ACM TASLP 2020; the same arithmetic as class Cnn14 of qiuqiangkong/audioset_tagging_cnn
(`pytorch/models.py`) in evaluation, where dropout, mixup and SpecAugment do nothing. This module
imports torch: import it inside functions.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from indexer.encoders.panns_config import Cnn14Config
from indexer.logmel import MEL_BINS


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, each with batch norm and ReLU, then an average over `pool` squares."""

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self._pool = pool

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, inputs, time, mel) → (n, outputs, time // pool, mel // pool)."""
        pictures = functional.relu_(self.bn1(self.conv1(pictures)))
        pictures = functional.relu_(self.bn2(self.conv2(pictures)))
        # An odd last row is dropped.
        return pictures if self._pool == 1 else functional.avg_pool2d(pictures, self._pool)


class Cnn14(nn.Module):
    """The network, in evaluation mode from the start; its state dict has the official names."""

    def __init__(self, config: Cnn14Config) -> None:
        super().__init__()
        one, two, three, four, five, six = config.widths
        self.bn0 = nn.BatchNorm2d(MEL_BINS)
        self.conv_block1 = ConvBlock(1, one, pool=2)
        self.conv_block2 = ConvBlock(one, two, pool=2)
        self.conv_block3 = ConvBlock(two, three, pool=2)
        self.conv_block4 = ConvBlock(three, four, pool=2)
        self.conv_block5 = ConvBlock(four, five, pool=2)
        self.conv_block6 = ConvBlock(five, six, pool=1)
        self.fc1 = nn.Linear(six, config.embedding)
        self.fc_audioset = nn.Linear(config.embedding, config.classes)
        self.eval()

    def forward(self, logmel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings and tags of spectrograms.

        Args:
            logmel: (n, frames, 64) float32 in dB, at least 32 frames.

        Returns:
            (n, embedding), not normalised, 0 and up; and (n, classes), how likely each kind of
            sound is, independent of the others.

        Raises:
            RuntimeError: fewer than 32 frames, so that nothing is left after five halvings.
        """
        # The first batch norm has statistics for each mel bin, not for the one channel.
        normalised = self.bn0(logmel.transpose(1, 2).unsqueeze(3))
        pictures = normalised.permute(0, 3, 2, 1)
        for block in (
            self.conv_block1,
            self.conv_block2,
            self.conv_block3,
            self.conv_block4,
            self.conv_block5,
            self.conv_block6,
        ):
            pictures = block(pictures)
        over_time = pictures.mean(dim=3)
        pooled = over_time.amax(dim=2) + over_time.mean(dim=2)
        embedding = functional.relu(self.fc1(pooled))
        return embedding, torch.sigmoid(self.fc_audioset(embedding))
