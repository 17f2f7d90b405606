"""How well the space finds photos by sentences and names things: pure functions of unit vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def ranks(scores: Vectors, right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row of scores (q, n) the rank, from 0, of its best `right` answer (q, n)."""
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    found: NDArray[np.int64] = (scores > best).sum(axis=1)
    return found


def recall(found: NDArray[np.int64], within: int) -> float:
    """Percentage of ranks below `within`."""
    return float(100 * np.mean(found < within))


def retrieval(photos: Vectors, sentences: Vectors, owners: NDArray[np.int64]) -> dict[str, float]:
    """Recall both ways; `photos` (n, d), `sentences` (m, d), `owners` (m,): the photo each sentence
    describes.
    """
    scores = sentences @ photos.T
    right = owners[:, None] == np.arange(len(photos))[None, :]
    to_image, to_text = ranks(scores, right), ranks(scores.T, right.T)
    return {
        **{f"text to image R@{k}": recall(to_image, k) for k in (1, 5, 10)},
        **{f"image to text R@{k}": recall(to_text, k) for k in (1, 10)},
    }


def naming(photos: Vectors, classes: Vectors, truth: NDArray[np.int64], within: int = 1) -> float:
    """Percentage of photos (n, d) whose class `truth` (n,) is among the `within` nearest of
    `classes` (c, d).
    """
    scores = photos @ classes.T
    return recall(ranks(scores, truth[:, None] == np.arange(len(classes))[None, :]), within)


def class_vectors(prompted: Vectors, prompts: int) -> Vectors:
    """Means, of unit length, of each class's prompts: (classes * prompts, d) to (classes, d)."""
    means = prompted.reshape(-1, prompts, prompted.shape[1]).mean(axis=1)
    vectors: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return vectors


def indices(values: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Where each value stands among the names."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[value] for value in values], np.int64)
