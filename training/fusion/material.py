"""What the tapes are made of: looks of held-out photos as vectors, and held-out sounds as samples.

Photos and sounds are of one split each, never of `train`: what the towers learnt from would make
both kinds of evidence look surer than they are.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.lite import LiteImageEncoder
from storage.bundles import EncoderBundle
from training import tapes
from training.photos import Photo, read_pictures, read_table

RATE = 32_000
"""Samples per second of every sound here, as the sound towers hear it."""


@dataclass(frozen=True)
class Sound:
    """One row of the table of sounds (`shared/sounds/README.md`)."""

    key: str
    shard: str
    file: str
    split: str
    labels: tuple[str, ...]
    """The precise one first, then wider ones that hold as well."""
    sentences: tuple[str, ...]
    """Ways in which one might type it."""


@dataclass(frozen=True, repr=False)
class Material:
    """Photos and sounds of one split, decoded."""

    photos: Sequence[Photo]
    vectors: NDArray[np.float32]
    """(photos, LOOKS, dim)"""
    sounds: dict[str, list[Sound]]
    """By first label."""
    samples: dict[str, NDArray[np.float32]]
    """By key."""


def load(
    images: Path,
    root: Path,
    split: str,
    bundle: EncoderBundle,
    cache: Path | None,
    seed: int,
    most: int | None = None,
) -> Material:
    """Everything of a split, with the vectors of an encoder; `root` is that of the sounds.

    `most` draws so many of the photos: encoding their looks is what takes the time.
    """
    photos = [photo for photo in read_table(images) if photo.split == split]
    drawn = np.random.default_rng(seed).permutation(len(photos))[:most]
    photos = [photos[place] for place in np.sort(drawn).tolist()]
    sounds = [sound for sound in read_sounds(root) if sound.split == split]
    by_label: dict[str, list[Sound]] = {}
    for sound in sounds:
        by_label.setdefault(sound.labels[0], []).append(sound)
    vectors = look_vectors(images, photos, bundle, cache, seed)
    return Material(photos, vectors, by_label, read_samples(root, sounds))


def read_sounds(root: Path) -> list[Sound]:
    """All rows, in the order of the file."""
    with gzip.open(root / "metadata.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Sound(
            key=row["key"],
            shard=row["shard"],
            file=row["file"],
            split=row["split"],
            labels=tuple(row["labels"]),
            sentences=tuple(row["sentences"]),
        )
        for row in rows
    ]


def read_samples(root: Path, sounds: Iterable[Sound]) -> dict[str, NDArray[np.float32]]:
    """Samples by key: (n,) mono at 32 kHz."""
    import soundfile  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import soxr

    samples = {}
    by_shard: dict[str, list[Sound]] = {}
    for sound in sounds:
        by_shard.setdefault(sound.shard, []).append(sound)
    for shard, wanted in sorted(by_shard.items()):
        with tarfile.open(root / shard) as tar:
            for sound in wanted:
                stream = tar.extractfile(sound.file)
                assert stream is not None, f"{sound.file} is no file in {shard}"
                wave, rate = soundfile.read(io.BytesIO(stream.read()), dtype="float32")
                samples[sound.key] = np.asarray(soxr.resample(wave, rate, RATE), np.float32)
    return samples


def look_vectors(
    images: Path, photos: Sequence[Photo], bundle: EncoderBundle, cache: Path | None, seed: int
) -> NDArray[np.float32]:
    """(photos, LOOKS, dim), unit length; kept in the folder `cache` by encoder and photos."""
    split = photos[0].split
    kept = None
    if cache is not None:
        kept = cache / f"looks-{split}-{len(photos)}-{seed}-{bundle.stamp.fingerprint[:12]}.npy"
        if kept.exists():
            found: NDArray[np.float32] = np.load(kept)
            return found
    encoder = LiteImageEncoder(bundle)
    vectors = np.zeros((len(photos), tapes.LOOKS, encoder.stamp.dim), np.float32)
    for position, picture in read_pictures(images, photos):
        vectors[position] = encoder.encode(tapes.looks(picture, photos[position], seed))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, vectors)
    return vectors
