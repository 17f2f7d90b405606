"""Sounds with words: how often a label finds a sound of its own, and a sound its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures.bootstrap import Figure, mean

RECALL_AT = (1, 5, 10)

Vectors = NDArray[np.float32]


def retrieval(sounds: Vectors, words: Vectors, labels: NDArray[np.int64]) -> dict[str, Figure]:
    """Text to sound, as the README of the sounds defines it.

    R@k: share of labels for which a sound with that first label is among the k best of all; mAP:
    mean over labels of the average precision. The units are labels.

    Arguments:
        sounds: (n, dim).
        words: (labels, dim).
        labels: (n,): row of each sound's first label; every label has a sound.
    """
    scores = words @ sounds.T
    order = np.argsort(-scores, axis=1, kind="stable")
    right = labels[order] == np.arange(len(words))[:, np.newaxis]
    found: dict[str, Figure] = {f"R@{k}": mean(right[:, :k].any(axis=1)) for k in RECALL_AT}
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    found["mAP"] = mean((precision * right).sum(axis=1) / right.sum(axis=1))
    return found


def naming(sounds: Vectors, words: Vectors, labels: NDArray[np.int64]) -> dict[str, Figure]:
    """Share of sounds whose first label is the most similar one. The units are sounds."""
    return {"label top-1": mean((sounds @ words.T).argmax(axis=1) == labels)}
