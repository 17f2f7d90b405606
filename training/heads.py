"""The two small networks that bring pictures and sentences into one space, and the losses that
teach them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

DIM = 256


class ImageHead(nn.Module):
    """Picture features (n, f) float32 to unit vectors (n, 256): standardise, one hidden layer,
    project.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, mean: Tensor, deviation: Tensor, hidden: int, dropout: float, noise: float
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.noise = noise
        self.widen = nn.Linear(len(mean), hidden)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden, DIM)

    def forward(self, features: Tensor) -> Tensor:
        x = (features - self.mean) / self.deviation
        if self.training:
            x = x + self.noise * torch.randn_like(x)
        return unit(self.project(self.dropout(functional.gelu(self.widen(x)))))


class TextHead(nn.Module):
    """Sentence vectors (n, 384) float32 to unit vectors (n, 256): one matrix."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, DIM)

    def forward(self, features: Tensor) -> Tensor:
        return unit(self.project(features))


class LiteHeads(nn.Module):
    """Both heads and the learned logarithms of the two inverse temperatures (CLIP starts at
    1/0.07).
    """

    def __init__(self, image: ImageHead, text: TextHead) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.log_teacher_scale = nn.Parameter(torch.tensor(1 / 0.07).log())


def unit(x: Tensor) -> Tensor:
    """Rows of unit length."""
    return functional.normalize(x, dim=-1)


def pair_loss(images: Tensor, texts: Tensor, scale: Tensor, targets: Tensor) -> Tensor:
    """Symmetric InfoNCE (CLIP, Radford et al., 2021) against soft targets.

    `images`, `texts`: (n, d) unit rows; `targets`: (n, n), symmetric, rows sum to 1: how far text j
    is right for picture i. With the identity this is CLIP's loss.
    """
    logits = scale * images @ texts.T
    return (
        functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)
    ) / 2


def pair_targets(groups: Tensor) -> Tensor:
    """Targets (n, n): the pictures of one group (n,) share the target in equal parts."""
    same = (groups[:, None] == groups[None, :]).float()
    return same / same.sum(dim=1, keepdim=True)


def teacher_loss(images: Tensor, classes: Tensor, scale: Tensor, beliefs: Tensor) -> Tensor:
    """Cross-entropy between the classifier's beliefs (n, c) and the nearness of class names (c, d).

    The classes may be a part of all that the classifier knows: a picture then counts by the share
    of its belief (the sum of its row, at most 1) that falls on them.
    """
    nearness = (scale * images @ classes.T).log_softmax(dim=1)
    return -(beliefs * nearness).sum() / beliefs.sum()
