"""The looks of one photo as a camera would have filmed it.

A photo becomes two shots: one moves across most of the picture, the other is closer in, sometimes
mirrored. A shot is a few positions of a slow pan and zoom, shaken a little, with one grade (tone,
colour, sharpness, encoding) and an exposure that drifts. The last look is the whole picture, as the
program squashes a still frame. All of them are real pictures that the tower encodes: noise added
to one vector does not vary as a shot does (docs/adr/0017).
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from training.efficientnet_lite import SIZE
from training.features import session
from training.photos import Photo
from training.photoset import read_pictures
from training.views import crop_box, squash
from training.workshop import identities

SHOTS = 2
STEPS = 3
"""Positions of the camera in a shot."""
LOOKS = SHOTS * STEPS + 1
"""All looks of a photo: shot by shot, the whole picture last."""
PLAIN = LOOKS - 1
_VERSION = 1
"""To be raised whenever a look changes, so that no cache mixes old and new ones."""


@dataclass(frozen=True)
class Grade:
    """What one print of a film does to every frame of a shot."""

    brightness: float
    drift: float
    """Change of brightness from the first to the last position."""
    contrast: float
    colour: float
    """Saturation; 0 is black and white."""
    blur: float
    """Radius in pixels of the square picture; 0 for none."""
    side: int
    """Side in pixels to which the picture is reduced before; SIZE for none."""
    quality: int
    """Of a JPEG in between; 0 for none."""
    bar: int
    """Height of the black bars above and below, in pixels; 0 for none."""


def looks(picture: Image.Image, key: str, seed: int) -> NDArray[np.uint8]:
    """(LOOKS, 260, 260, 3) uint8 RGB; the same arguments give the same pixels."""
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    wide, close = _grade(rng), _grade(rng)
    if rng.random() < 0.6:  # two shots of one scene come mostly from one camera and print
        close = wide
    shown = [*_shot(picture, (0.5, 1.0), wide, rng)]
    mirrored = rng.random() < 0.3
    shown += _shot(ImageOps.mirror(picture) if mirrored else picture, (0.2, 0.55), close, rng)
    return np.stack([*shown, squash(picture)])


def look_features(
    tower: bytes, images: Path, photos: Sequence[Photo], seed: int, cache: Path
) -> NDArray[np.float16]:
    """The tower's output (photos, LOOKS, f) float16, kept in the folder `cache` shard by shard, so
    that a run that was stopped goes on where it was.
    """
    parts: dict[int, NDArray[np.float16]] = {}
    for shard in sorted({photo.shard for photo in photos}):
        rows = [row for row, photo in enumerate(photos) if photo.shard == shard]
        chosen = [photos[row] for row in rows]
        path = cache / f"looks-{_digest(tower, chosen, seed)}.npy"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            print(f"making {path.name}: {LOOKS} looks of {len(chosen)} photos", flush=True)
            unfinished = path.with_name(f".{path.name}.partial")
            with unfinished.open("wb") as stream:
                np.save(stream, _encoded(tower, images, chosen, seed))
            unfinished.replace(path)
        parts.update(zip(rows, np.load(path), strict=True))
    return np.stack([parts[row] for row in range(len(photos))])


def _digest(tower: bytes, photos: Sequence[Photo], seed: int) -> str:
    pictures = json.dumps(identities(photos)).encode()
    return hashlib.sha256(tower + pictures + bytes([seed, _VERSION])).hexdigest()[:16]


def _encoded(tower: bytes, images: Path, photos: Sequence[Photo], seed: int) -> NDArray[np.float16]:
    network = session(tower, threads=1)
    width = network.get_outputs()[0].shape[1]
    features = np.zeros((len(photos), LOOKS, width), np.float16)
    for position, picture in read_pictures(images, photos):
        (rows,) = network.run(None, {"pixels": looks(picture, photos[position].key, seed)})
        features[position] = rows
    return features


def _shot(
    picture: Image.Image, areas: tuple[float, float], grade: Grade, rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """STEPS frames of a camera that goes from one place and zoom to another."""
    begin, end = rng.random((2, 2))
    end = begin + rng.uniform(0.2, 1.0) * (end - begin)
    first, last = rng.uniform(*areas, 2)
    last = first + rng.choice([0.0, 0.5, 1.0]) * (last - first)
    aspect = float(np.exp(rng.uniform(np.log(0.8), np.log(1.9))))
    frames = []
    for step in np.linspace(0.0, 1.0, STEPS).tolist():
        shake = rng.normal(0.0, 0.04, 2)
        x, y = np.clip(begin + step * (end - begin) + shake, 0.0, 1.0).tolist()
        box = crop_box(*picture.size, first + step * (last - first), aspect, x, y)
        frames.append(_printed(Image.fromarray(squash(picture, box)), grade, step))
    return frames


def _grade(rng: np.random.Generator) -> Grade:
    return Grade(
        brightness=rng.uniform(0.6, 1.3) if rng.random() < 0.5 else 1.0,
        drift=rng.normal(0.0, 0.12) if rng.random() < 0.4 else 0.0,
        contrast=rng.uniform(0.65, 1.3) if rng.random() < 0.5 else 1.0,
        colour=0.0 if (tint := rng.random()) < 0.15 else rng.uniform(0.4, 1.5) if tint < 0.5 else 1,
        blur=rng.uniform(0.5, 2.2) if rng.random() < 0.3 else 0.0,
        side=int(rng.integers(80, 200)) if rng.random() < 0.3 else SIZE,
        quality=int(rng.integers(15, 50)) if rng.random() < 0.4 else 0,
        bar=round(SIZE * rng.uniform(0.04, 0.12)) if rng.random() < 0.1 else 0,
    )


def _printed(picture: Image.Image, grade: Grade, step: float) -> NDArray[np.uint8]:
    brightness = max(0.2, grade.brightness + step * grade.drift)
    if brightness != 1.0:
        picture = ImageEnhance.Brightness(picture).enhance(brightness)
    if grade.contrast != 1.0:
        picture = ImageEnhance.Contrast(picture).enhance(grade.contrast)
    if grade.colour != 1.0:
        picture = ImageEnhance.Color(picture).enhance(grade.colour)
    if grade.side < SIZE:
        picture = picture.resize((grade.side, grade.side), Image.Resampling.BILINEAR)
    if grade.quality:
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=grade.quality)
        picture = Image.open(encoded).convert("RGB")
    if grade.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(grade.blur * picture.width / SIZE))
    if grade.bar:
        framed = Image.new("RGB", (SIZE, SIZE))
        inner = picture.resize((SIZE, SIZE - 2 * grade.bar), Image.Resampling.BICUBIC)
        framed.paste(inner, (0, grade.bar))
        picture = framed
    return squash(picture)
