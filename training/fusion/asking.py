"""Fits how far a sentence asks for sound: logistic regression on the text tower's sentence vectors.

Sentences about sounds are those of the sound set and the paraphrases of the sound recipe; sentences
about pictures are captions of training photos, whole and shortened, and names of what can be seen:
their labels, and ImageNet's classes. Each kind weighs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.hearing_asks import Asks
from search.text.base import TextEncoder
from training.captions import shortened
from training.fusion.material import Sound
from training.photos import Photo
from training.sound.wording import TEMPLATES, sentences_of
from training.vocabulary import imagenet_names

CAPTIONS = 2000
RIDGE = 1.0
"""Penalty on the squared weights, per unit of the summed weight of one class."""
FOLDS = 10

Vectors = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class Wordings:
    """Sentence vectors of both classes."""

    sounds: Vectors
    """(sentences, width)"""
    labels: NDArray[np.str_]
    """(sentences,) the label that each is about."""
    pictures: tuple[Vectors, ...]
    """Captions, short captions, names."""


def read(
    words: TextEncoder, sounds: Sequence[Sound], photos: Sequence[Photo], seed: int
) -> Wordings:
    """Encode the wordings; photos of the train split only are looked at."""
    rng = np.random.default_rng(seed)
    given: dict[str, list[str]] = {}
    for sound in sounds:
        given.setdefault(sound.labels[0], []).extend(sound.sentences)
    about = [
        (label, text)
        for label in sorted(given)
        for text in _framed(sentences_of(label, given[label]), rng)
    ]
    train = [photo for photo in photos if photo.split == "train"]
    captions = [caption for photo in train for caption in photo.captions]
    some = [captions[place] for place in rng.permutation(len(captions))[:CAPTIONS].tolist()]
    short = [forms[int(rng.integers(len(forms)))] for forms in map(shortened, some) if forms]
    names = sorted(
        {label for photo in train for label in photo.labels}
        | {synonyms[0] for synonyms in imagenet_names()}
    )
    return Wordings(
        _encoded(words, [text for _, text in about]),
        np.array([label for label, _ in about]),
        tuple(_encoded(words, texts) for texts in (some, short, names)),
    )


def fit(wordings: Wordings, without: Sequence[str] = ()) -> Asks:
    """Newton's method on the weighted log loss; `without` leaves labels out."""
    kept = ~np.isin(wordings.labels, list(without))
    sounds = wordings.sounds[kept]
    weights = [np.full(len(sounds), 1 / len(sounds))]
    weights += [np.full(len(part), 1 / len(part) / 3) for part in wordings.pictures]
    rows = np.concatenate([sounds, *wordings.pictures]).astype(np.float64)
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    weight = np.concatenate(weights) * 300
    truth = (np.arange(len(rows)) < len(sounds)).astype(np.float64)
    ridge = np.diag(np.append(np.full(rows.shape[1] - 1, RIDGE), 1e-6))
    solution = np.zeros(rows.shape[1])
    for _ in range(20):
        likely = 1 / (1 + np.exp(-np.clip(rows @ solution, -30, 30)))
        slope = rows.T @ (weight * (likely - truth)) + ridge @ solution
        curve = (rows * (weight * likely * (1 - likely))[:, np.newaxis]).T @ rows + ridge
        solution -= np.linalg.solve(curve, slope)
    return Asks(solution[:-1].astype(np.float32), float(solution[-1]))


def cross_fitted(wordings: Wordings, seed: int) -> dict[str, Asks]:
    """For each label a regression that saw no wording of it."""
    labels = np.unique(wordings.labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    folds = [labels[order[fold::FOLDS]].tolist() for fold in range(FOLDS)]
    return {label: asks for fold in folds for asks in [fit(wordings, fold)] for label in fold}


def write(asks: Asks, text_sha256: str, file: Path) -> None:
    """Keep it where the search finds it."""
    assert asks.weights is not None
    np.savez(file, weights=asks.weights, bias=np.float32(asks.bias), text_sha256=text_sha256)


def _framed(texts: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Each text bare, and half of them in one of the frames of the sound recipe too."""
    frames = TEMPLATES[1:]
    framed = [frames[int(rng.integers(len(frames)))].format(text) for text in texts]
    return [*texts, *framed[::2]]


def _encoded(words: TextEncoder, texts: Sequence[str]) -> Vectors:
    vectors = []
    for text in texts:
        vector = words.encode(text).sentence
        assert vector is not None, "the text tower gives no sentence vectors"
        vectors.append(vector)
    return np.stack(vectors)
