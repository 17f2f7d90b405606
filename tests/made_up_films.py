"""Segments made of the vectors of the shipped bank: real pictures of no archive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from search.moments.bank import Bank
from search.moments.base import SegmentView
from search.text.base import EncodedQuery
from search.text.lite import LiteTextEncoder
from storage.bundles import load_encoder, load_head

DOG = "a dog running through the snow"


@cache
def bank() -> Bank:
    file = load_head("lite-moments").bank
    assert file is not None
    return Bank.load(file)


@cache
def query(sentence: str) -> EncodedQuery:
    return LiteTextEncoder(load_encoder()).encode(sentence)


def shot_of(sentence: str, cosine: float, seed: int) -> NDArray[np.float32]:
    """A picture's vector that is so near to a sentence: (dim,), unit length."""
    rng = np.random.default_rng(seed)
    asked = query(sentence).pooled
    other = bank().photos[rng.integers(len(bank().photos))]
    other = other - (other @ asked) * asked
    other /= np.linalg.norm(other)
    mixed: NDArray[np.float32] = (cosine * asked + (1 - cosine**2) ** 0.5 * other).astype(
        np.float32
    )
    return mixed


def unlike(sentence: str, number: int) -> NDArray[np.float32]:
    """One of the bank's photos that have nothing to do with a sentence: (dim,)."""
    photos = bank().photos
    order = np.argsort(np.abs(photos @ query(sentence).pooled), kind="stable")
    photo: NDArray[np.float32] = photos[order[number]]
    return photo


def film(
    shots: Sequence[tuple[NDArray[np.float32], float]],
    sentence: str,
    found_cuts: bool = True,
    start_s: float = 0.0,
    seed: int = 0,
) -> SegmentView:
    """One segment of shots (vector, seconds); clips of one shot differ a little."""
    rng = np.random.default_rng(seed)
    ends_s = start_s + np.cumsum([seconds for _, seconds in shots])
    clips = max(1, int(np.ceil((ends_s[-1] - start_s) / 2 - 1e-6)))
    starts_s = start_s + 2.0 * np.arange(clips)
    times_s = np.stack([starts_s, np.minimum(starts_s + 2.0, ends_s[-1])], axis=1)
    of_clip = np.searchsorted(ends_s, times_s.mean(axis=1), side="right")
    rows = np.stack([shots[number][0] for number in of_clip.clip(0, len(shots) - 1)])
    rows = rows + 0.2 / rows.shape[1] ** 0.5 * rng.standard_normal(rows.shape)
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    borders = [start_s, *ends_s.tolist()] if found_cuts else [start_s, float(ends_s[-1])]
    scenes_s = np.array(list(pairwise(borders)))
    means = np.stack([shot for shot, _ in shots] if found_cuts else [vectors.mean(axis=0)])
    means = means / np.linalg.norm(means, axis=1, keepdims=True)
    similarity = vectors @ query(sentence).pooled
    return SegmentView(
        vectors,
        times_s,
        scenes_s,
        means.astype(np.float32),
        background=float(similarity.mean()),
        background_deviation=float(similarity.std()),
    )


def among_others(
    sentence: str, cosine: float | None, at: int = 6, seconds: float = 7.0, seed: int = 0
) -> SegmentView:
    """A tape of 13 shots of 5 s; that of number `at` shows the sentence, if any does."""
    rng = np.random.default_rng(seed)
    shots = [(unlike(sentence, int(n)), 5.0) for n in rng.permutation(400)[:13]]
    if cosine is not None:
        shots[at] = (shot_of(sentence, cosine, seed), seconds)
    return film(shots, sentence, seed=seed)
