"""From an encoder bundle and a photo set to stocks and bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.moments.bank import Bank
from storage.bundles import EncoderBundle
from training.composed import leader
from training.composed.crossfit import CrossFit, folds, unseen_vectors
from training.composed.looks import PLAIN, look_features
from training.composed.questions import PROMPTS, Question, questions
from training.composed.space import Words, encoded, picture_tower, projected
from training.composed.stock import Stock, alike
from training.photos import Photo
from training.vocabulary import imagenet_names

BANK_PHOTOS = 1500
BANK_CAPTIONS = 300
BANK_SENTENCES = 1000


@dataclass(frozen=True, repr=False)
class Material:
    """All that a head is made from."""

    learn: Stock
    """Three quarters of the training photos, less the bank's."""
    fit: Stock
    """The other quarter: the network never sees them, the scorer is fitted on them."""
    bank: Bank


class Assembly:
    """Cuts stocks from one photo set for one encoder; slow steps are kept in the folder `cache`."""

    def __init__(self, bundle: EncoderBundle, images: Path, cache: Path, seed: int) -> None:
        self._bundle = bundle
        self._images = images
        self._cache = cache
        self._seed = seed
        self._tower = picture_tower(bundle)
        self._leader = leader.features(self._tower, seed)
        self._known: Words | None = None
        self._rows: dict[str, int] = {}

    def judging(self, photos: Sequence[Photo]) -> Stock:
        """A stock of photos that neither the encoder nor the head learnt from."""
        features = look_features(self._tower, self._images, photos, self._seed, self._cache)
        return self._stock(photos, self._own_head(features))

    def learning(self, photos: Sequence[Photo], recipe: CrossFit) -> Material:
        """The stocks of the training photos, under heads that did not see them, and the bank."""
        features = look_features(self._tower, self._images, photos, self._seed, self._cache)
        asked = questions(photos, self._seed)
        words = self._words(asked)
        fitting = _fitting(asked, len(photos))
        dealt = folds(_said_of(words, fitting), recipe, self._seed)
        vectors = unseen_vectors(
            features,
            words.pooled,
            fitting,
            _groups(photos),
            dealt,
            recipe,
            self._seed,
        )
        rng = np.random.default_rng([self._seed, 3])
        kept = min(BANK_PHOTOS, len(photos) // 5)
        banked = np.zeros(len(photos), bool)
        banked[rng.permutation(len(photos))[:kept]] = True
        parts = [~banked & (dealt != 0), ~banked & (dealt == 0)]
        learn, fit = (
            self._stock([photos[row] for row in np.flatnonzero(part).tolist()], vectors[part])
            for part in parts
        )
        shown = [photos[row] for row in np.flatnonzero(banked).tolist()]
        return Material(learn, fit, self._bank(shown, vectors[banked, PLAIN]))

    def _own_head(self, features: NDArray[np.float16]) -> NDArray[np.float16]:
        flat = features.reshape(-1, features.shape[-1])
        vectors = projected(self._bundle, flat).astype(np.float16)
        return vectors.reshape(*features.shape[:2], -1)

    def _words(self, asked: Sequence[Question]) -> Words:
        """As the encoder reads them; each text is read once, for all stocks."""
        texts = [question.text for question in asked]
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if missing:
            new = encoded(self._bundle, missing, self._cache)
            self._known = new if self._known is None else self._known.and_those(new)
            self._rows.update({text: row for row, text in enumerate(missing, len(self._rows))})
        assert self._known is not None, "there is a question to every photo"
        return self._known.of([self._rows[text] for text in texts])

    def _stock(self, photos: Sequence[Photo], vectors: NDArray[np.float16]) -> Stock:
        asked = questions(photos, self._seed)
        words = self._words(asked)
        said = [row for row, question in enumerate(asked) if question.kind in ("caption", "label")]
        pairs = [(row, photo) for row in said for photo in asked[row].right]
        rows, describes = np.array(pairs, np.int64).T
        captions = np.array([asked[row].kind == "caption" for row in rows.tolist()])
        described = words.meaning[rows]
        return Stock(
            vectors=np.concatenate([vectors, self._own_head(self._leader)]),
            leader=len(self._leader),
            questions=asked,
            words=words,
            described=described,
            describes=describes,
            alike=alike(described[captions], describes[captions]),
        )

    def _bank(self, photos: Sequence[Photo], vectors: NDArray[np.float16]) -> Bank:
        """The photos, and captions of some of them, labels and names of things of all kinds."""
        rng = np.random.default_rng([self._seed, 4])
        captions = [photo.captions[0] for photo in photos if photo.captions][:BANK_CAPTIONS]
        names = sorted({label for photo in photos for label in photo.labels})
        names += [names_[0] for names_ in imagenet_names()]
        names = rng.permutation(sorted(set(names)))[: BANK_SENTENCES - len(captions)].tolist()
        said = [PROMPTS[row % len(PROMPTS)].format(name) for row, name in enumerate(names)]
        words = encoded(self._bundle, [*captions, *said], self._cache)
        return Bank(vectors.astype(np.float32), words.pooled.astype(np.float32))


def _fitting(asked: Sequence[Question], photos: int) -> list[NDArray[np.int64]]:
    """For each photo the questions that it answers."""
    rows: list[list[int]] = [[] for _ in range(photos)]
    for number, question in enumerate(asked):
        if question.kind != "noun":  # too many photos answer one
            for photo in question.right:
                rows[photo].append(number)
    return [np.array(own, np.int64) for own in rows]


def _said_of(words: Words, fitting: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """(photos, w): mean meaning of the questions that a photo answers, unit length."""
    means = np.stack([words.meaning[rows].mean(axis=0) for rows in fitting])
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def _groups(photos: Sequence[Photo]) -> NDArray[np.int64]:
    """(photos,): photos known only by one and the same label share a number."""
    numbers: dict[object, int] = {}
    keys = [photo.key if photo.captions else photo.labels for photo in photos]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
