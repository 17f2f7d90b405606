"""The figures of the reports: sentence retrieval and naming on one split of the photo set."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training import evaluate, folder
from training.evaluate import Vectors
from training.photos import Photo
from training.vocabulary import PROMPTS, imagenet_names, prompted

NAMED = ("sports100", "caltech101", "scene15", "intel-scenes", "clothing")
"""Sources with one label a photo, judged against the labels of their own source."""

BROAD = "imagenet-sample"
"""Source judged against the first names of all 1,000 ImageNet classes."""

SENTENCES = "flickr8k"
FOLDER = folder.SOURCE

EncodeSentences = Callable[[Sequence[str]], Vectors]


def judge(photos: Sequence[Photo], vectors: Vectors, encode: EncodeSentences) -> dict[str, float]:
    """Percentages by name; `vectors` (photos, d) belong to the photos of one split.

    Only sources that are among the photos are judged; a user's folder is one of them.
    """
    figures: dict[str, float] = {}
    sources = {photo.source for photo in photos}
    for source in (SENTENCES, FOLDER):
        shown, theirs = _part(photos, vectors, source, "captions")
        if shown:
            figures |= _retrieval(shown, theirs, encode)
    for source in (*NAMED, FOLDER):
        shown, theirs = _part(photos, vectors, source, "labels")
        if shown:
            names = sorted({photo.labels[0] for photo in shown})
            classes, truth = _classes(names, encode), _truth(shown, names)
            figures[f"{source} top-1"] = evaluate.naming(theirs, classes, truth)
    if BROAD in sources:
        shown, theirs = _part(photos, vectors, BROAD, "labels")
        names = [names_of_class[0] for names_of_class in imagenet_names()]
        classes, truth = _classes(names, encode), _truth(shown, names)
        for within in (1, 5):
            figures[f"{BROAD} top-{within}"] = evaluate.naming(theirs, classes, truth, within)
    return figures


def _part(
    photos: Sequence[Photo], vectors: Vectors, source: str, words: str
) -> tuple[list[Photo], Vectors]:
    """Those of one source that have `words` ("captions" or "labels")."""
    rows = [
        row for row, photo in enumerate(photos) if photo.source == source and getattr(photo, words)
    ]
    return [photos[row] for row in rows], vectors[rows]


def _retrieval(
    photos: Sequence[Photo], vectors: Vectors, encode: EncodeSentences
) -> dict[str, float]:
    captions = [caption for photo in photos for caption in photo.captions]
    owners = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
    return evaluate.retrieval(vectors, encode(captions), owners)


def _classes(names: Sequence[str], encode: EncodeSentences) -> Vectors:
    texts = [text for name in names for text in prompted(name)]
    return evaluate.class_vectors(encode(texts), len(PROMPTS))


def _truth(photos: Sequence[Photo], names: Sequence[str]) -> NDArray[np.int64]:
    return evaluate.indices([photo.labels[0] for photo in photos], names)
