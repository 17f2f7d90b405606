"""The training split as tensors: features of every view of every photo, and the sentences that fit
it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.captions import shortened
from training.photos import Photo
from training.vocabulary import imagenet_names, prompted


class Lexicon:
    """Every sentence that is ever asked for, and its row in all tables of sentences."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        photos = list(photos)
        taught = taught_sentences(photos)
        self.texts = list(dict.fromkeys(taught + judged_sentences(photos)))
        """Those that are trained on come first."""
        self.taught = len(taught)
        """How many those are."""
        self._row = {text: row for row, text in enumerate(self.texts)}

    def rows(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Row numbers of the texts."""
        return np.array([self._row[text] for text in texts], np.int64)


class Sentences:
    """Vectors of all sentences of a lexicon, found by their text."""

    def __init__(self, lexicon: Lexicon, vectors: NDArray[np.float16]) -> None:
        """`vectors`: (sentences, 384), one unit row for each."""
        self._lexicon = lexicon
        self.vectors = torch.from_numpy(vectors).float()

    def of(self, texts: Iterable[str]) -> Tensor:
        """Vectors (texts, 384) float32."""
        return self.vectors[torch.from_numpy(self._lexicon.rows(texts))]


def taught_sentences(photos: Iterable[Photo]) -> list[str]:
    """Captions, their short forms and prompted labels of the training split, and ImageNet's names
    in each prompt, once, in a fixed order.
    """
    train = [photo for photo in photos if photo.split == "train"]
    texts = [text for photo in train for text in sentences_of(photo)]
    texts += [text for photo in train for text in short_forms(photo)]
    texts += [text for names in imagenet_names() for name in names for text in prompted(name)]
    return list(dict.fromkeys(texts))


def judged_sentences(photos: Iterable[Photo]) -> list[str]:
    """Captions and prompted labels of the other splits."""
    held_out = [photo for photo in photos if photo.split != "train"]
    texts = [caption for photo in held_out for caption in photo.captions]
    return texts + [text for photo in held_out for name in photo.labels for text in prompted(name)]


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
    """(sentences, 384) float32 unit rows; empty while the sentence tower still learns."""
    choices: list[NDArray[np.int64]]
    """For each photo the rows of the sentences that fit it."""
    short_choices: list[NDArray[np.int64]]
    """For each photo the rows of short forms of its captions; often none."""
    class_choices: list[NDArray[np.int64]]
    """For each of the 1,000 ImageNet classes the rows of the sentences that name it."""


def sentences_of(photo: Photo) -> list[str]:
    """The captions of a photo, or its labels in every prompt."""
    if photo.captions:
        return list(photo.captions)
    return [text for label in photo.labels for text in prompted(label)]


def short_forms(photo: Photo) -> list[str]:
    """Its captions as a searcher in a hurry would type them, where that is shorter."""
    return [form for caption in photo.captions for form in shortened(caption)]


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


def draw_words(
    data: TrainingSet, rows: NDArray[np.int64], short_share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """One sentence of each photo in these rows, in `short_share` of the cases a short form, where
    there is one.
    """
    short = rng.random(len(rows)) < short_share
    choices = [
        data.short_choices[row] if hurried and len(data.short_choices[row]) else data.choices[row]
        for row, hurried in zip(rows, short, strict=True)
    ]
    return draw(choices, rng)
