"""The training split as tensors: features of every view of every photo, and the sentences that fit
it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.photos import Photo
from training.vocabulary import imagenet_names, prompted


class Sentences:
    """Vectors of all sentences that are ever asked for, found by their text."""

    def __init__(self, texts: Sequence[str], vectors: NDArray[np.float16]) -> None:
        """`vectors`: (texts, 384), one unit row for each text."""
        self._row = {text: row for row, text in enumerate(texts)}
        self.vectors = torch.from_numpy(vectors).float()

    def rows(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Row numbers of the texts."""
        return np.array([self._row[text] for text in texts], np.int64)

    def of(self, texts: Iterable[str]) -> Tensor:
        """Vectors (texts, 384) float32."""
        return self.vectors[torch.from_numpy(self.rows(texts))]


def all_sentences(photos: Iterable[Photo]) -> list[str]:
    """Every caption, and every label and ImageNet name in each prompt, once, in a fixed order."""
    photos = list(photos)
    names = {label for photo in photos for label in photo.labels}
    names.update(name for names_of_class in imagenet_names() for name in names_of_class)
    texts = [caption for photo in photos for caption in photo.captions]
    texts += [text for name in sorted(names) for text in prompted(name)]
    return list(dict.fromkeys(texts))


def label_groups(photos: Sequence[Photo]) -> NDArray[np.int64]:
    """Group number of each photo: photos known only by one and the same label share theirs."""
    groups: dict[tuple[str, ...] | str, int] = {}
    keys = [photo.key if photo.captions else photo.labels for photo in photos]
    return np.array([groups.setdefault(key, len(groups)) for key in keys], np.int64)


@dataclass(frozen=True)
class TrainingSet:
    """What the training loop draws from."""

    features: Tensor
    """(photos, views, f) float16; view 0 is the plain picture."""
    beliefs: Tensor
    """(photos, views, 1000) float16: logits of the ImageNet classifier for each view."""
    groups: Tensor
    """(photos,) int64: see `label_groups`."""
    sentences: Tensor
    """(sentences, 384) float32 unit rows."""
    choices: list[NDArray[np.int64]]
    """For each photo the rows of the sentences that fit it."""
    class_choices: list[NDArray[np.int64]]
    """For each of the 1,000 ImageNet classes the rows of the sentences that name it."""


def sentences_of(photo: Photo) -> list[str]:
    """The captions of a photo, or its labels in every prompt."""
    if photo.captions:
        return list(photo.captions)
    return [text for label in photo.labels for text in prompted(label)]


def sentences_of_class(names: Sequence[str]) -> list[str]:
    """The names of an ImageNet class in every prompt; a draw hits the first name more than half
    of the time, because it is the one that people say.
    """
    weighted = [names[0]] * len(names) + list(names)
    return [text for name in weighted for text in prompted(name)]


def draw(choices: Sequence[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    """One entry of each of the choices."""
    places = rng.random(len(choices))
    return np.array(
        [rows[int(place * len(rows))] for rows, place in zip(choices, places, strict=True)],
        np.int64,
    )
