"""The looks of one photo that the recipe learns from.

View 0 is what the program itself does to a frame: the whole picture squashed to 260 x 260, bicubic.
The other views imitate what archive footage does to a picture: wide frames, reframing, mirror
images, black-and-white stock, soft lenses, small encodes, black bars, faded or dark prints.
"""

import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from training.efficientnet_lite import SIZE

Box = tuple[float, float, float, float]


def view(picture: Image.Image, key: str, number: int, seed: int) -> NDArray[np.uint8]:
    """Look `number` of the photo `key` as (260, 260, 3) uint8 RGB; the same arguments give the same
    pixels.
    """
    if number == 0:
        return squash(picture)
    rng = np.random.default_rng([seed, number, zlib.crc32(key.encode())])
    return squash(_reprint(_reframe(picture, rng), rng))


def squash(picture: Image.Image, box: Box | None = None) -> NDArray[np.uint8]:
    """The whole picture, or a box of it, as (260, 260, 3) uint8 RGB, whatever its aspect ratio."""
    return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))


def crop_box(width: int, height: int, area: float, aspect: float, x: float, y: float) -> Box:
    """A box (left, top, right, bottom) that covers `area` of a picture and is `aspect` times as
    wide, for its height, as the picture is; sides never leave the picture. `x` and `y` in 0..1
    place it.
    """
    wide = min(1.0, (area * aspect) ** 0.5)
    high = min(1.0, (area / aspect) ** 0.5)
    left, top = x * (1 - wide) * width, y * (1 - high) * height
    return left, top, left + wide * width, top + high * height


def _reframe(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A part of the picture, often wider than it, sometimes mirrored, now and then between black
    bars.
    """
    width, height = picture.size
    area = rng.uniform(0.45, 1.0)
    aspect = float(np.exp(rng.uniform(np.log(0.8), np.log(1.9))))
    box = crop_box(width, height, area, aspect, rng.random(), rng.random())
    picture = Image.fromarray(squash(picture, box))
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    if rng.random() < 0.12:
        share = rng.uniform(0.08, 0.25)
        bar = round(share * SIZE / 2)
        across = rng.random() < 0.7
        inner = (SIZE, SIZE - 2 * bar) if across else (SIZE - 2 * bar, SIZE)
        framed = Image.new("RGB", (SIZE, SIZE))
        framed.paste(
            picture.resize(inner, Image.Resampling.BICUBIC), (0, bar) if across else (bar, 0)
        )
        picture = framed
    return picture


def _reprint(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Tones, sharpness and encoding of another print of the same picture."""
    if rng.random() < 0.4:
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.55, 1.35))
        picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.6, 1.35))
    if rng.random() < 0.2:
        picture = picture.convert("L").convert("RGB")
    elif rng.random() < 0.3:
        picture = ImageEnhance.Color(picture).enhance(rng.uniform(0.4, 1.6))
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.0)))
    elif rng.random() < 0.25:
        side = int(rng.integers(72, 200))
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    if rng.random() < 0.2:
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=int(rng.integers(20, 60)))
        picture = Image.open(encoded)
    return picture
