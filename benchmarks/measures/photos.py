"""Photos with words: how often a sentence finds its photo, and a photo its name.

Functions of unit vectors; how photos and words become vectors is in `benchmarks.photo_set`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures.bootstrap import Figure, Sums, mean

RECALL_AT = (1, 5, 10)

Vectors = NDArray[np.float32]


def retrieval(photos: Vectors, sentences: Vectors, owners: NDArray[np.int64]) -> dict[str, Figure]:
    """Text to image R@k: share of sentences whose photo is among the k most similar ones.

    The unit that is drawn again is a photo with all its sentences, which resemble one another.

    Arguments:
        photos: (n, dim).
        sentences: (m, dim).
        owners: (m,): row of the photo that each sentence describes.
    """
    places = _places(sentences @ photos.T, owners)
    counts = np.bincount(owners, minlength=len(photos)).astype(np.float64)
    found: dict[str, Figure] = {}
    for k in RECALL_AT:
        right = np.bincount(owners, weights=places < k, minlength=len(photos))
        with np.errstate(invalid="ignore"):  # a photo without sentences takes no part
            found[f"R@{k}"] = mean(right / counts, counts)
    return found


def naming(photos: Vectors, classes: Vectors, truth: NDArray[np.int64], within: int = 1) -> Sums:
    """Share of photos (n, dim) whose class `truth` (n,) is among the `within` most similar of
    `classes` (c, dim)."""
    return mean(_places(photos @ classes.T, truth) < within)


def class_vectors(prompted: Vectors, prompts: int) -> Vectors:
    """Means of each class's prompts, unit length: (classes * prompts, dim) to (classes, dim)."""
    means = prompted.reshape(-1, prompts, prompted.shape[1]).mean(axis=1)
    vectors: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return vectors


def _places(scores: Vectors, right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of the right column in each row, from 0; equal scores stand behind it."""
    own = np.take_along_axis(scores, right[:, np.newaxis], axis=1)
    places: NDArray[np.int64] = (scores > own).sum(axis=1)
    return places
