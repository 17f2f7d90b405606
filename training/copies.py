"""How far a copy's vectors stray, and those of what only looks alike: figures of docs/adr/0019.

    python -m training.copies --images ../shared/images [--encoder NAME]

Photos of the validation split. First single pictures, each beside another look of itself; then
films of the same shots, written, indexed as any film is, and compared shot by shot.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from indexer.encoders.lite import LiteImageEncoder
from search.copies import chance_similarity
from storage.bundles import DEFAULT_ENCODER, load_encoder
from training.copy_films import compare, compose
from training.efficientnet_lite import SIZE
from training.photos import read_pictures, read_table
from training.views import crop_box, squash

PHOTOS, SHOTS = 300, 40
LIMITS = (0.03, 0.05, 0.08, 0.10)
SHOWN = 0.7
"""Share of the photo that a look shows, so that another part of it can be shown."""

Picture = Image.Image
Look = Callable[[Picture], Picture]


def part(picture: Picture, area: float = SHOWN, x: float = 0.5, y: float = 0.5) -> Picture:
    """A part of the photo as the encoder sees it."""
    return Image.fromarray(squash(picture, crop_box(*picture.size, area, 1.0, x, y)))


def coded(picture: Picture, quality: int) -> Picture:
    """Through JPEG and back."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def smaller(picture: Picture, side: int) -> Picture:
    """As from a film of so many lines."""
    return picture.resize((side, side), Image.Resampling.BILINEAR).resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC
    )


def letterboxed(picture: Picture) -> Picture:
    framed = Image.new("RGB", (SIZE, SIZE))
    framed.paste(picture.resize((SIZE, SIZE * 3 // 4)), (0, SIZE // 8))
    return framed


def leaning(picture: Picture, share: float) -> Picture:
    """What is in the middle moves sideways by a share of the width."""
    side = int(SIZE * 0.2**0.5)
    left = (SIZE - side) // 2
    middle = picture.crop((left, left, left + side, left + side))
    moved = picture.copy()
    moved.paste(middle, (left + int(share * SIZE), left))
    return moved


LOOKS: dict[str, Look] = {
    "brighter by 10 %": lambda photo: ImageEnhance.Brightness(part(photo)).enhance(1.1),
    "contrast less by 15 %": lambda photo: ImageEnhance.Contrast(part(photo)).enhance(0.85),
    "JPEG, quality 60": lambda photo: coded(part(photo), 60),
    "JPEG, quality 30": lambda photo: coded(part(photo), 30),
    "160 lines": lambda photo: smaller(part(photo), 160),
    "160 lines, JPEG 40": lambda photo: coded(smaller(part(photo), 160), 40),
    "180 lines, paler, darker, JPEG 45": lambda photo: coded(
        ImageEnhance.Color(
            ImageEnhance.Brightness(smaller(part(photo), 180)).enhance(0.92)
        ).enhance(0.8),
        45,
    ),
    "5 % of the edges cut off": lambda photo: part(photo, SHOWN * 0.9),
    "a pan, 5 % of the width later": lambda photo: part(photo, x=0.76),
    "mirrored": lambda photo: ImageOps.mirror(part(photo)),
    "letterboxed": lambda photo: letterboxed(part(photo)),
    "grey": lambda photo: part(photo).convert("L").convert("RGB"),
    "no copy: the middle moves by 3 %": lambda photo: leaning(part(photo), 0.03),
    "no copy: the middle moves by 8 %": lambda photo: leaning(part(photo), 0.08),
    "no copy: closer by a factor of 1.3": lambda photo: part(photo, SHOWN / 1.69),
    "no copy: the left part": lambda photo: part(photo, 0.45, x=0.0),
    "no copy: the right part": lambda photo: part(photo, 0.45, x=1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    options = parser.parse_args()
    encoder = LiteImageEncoder(load_encoder(options.encoder))
    photos = validation_photos(options.images)
    looks(encoder, photos[:PHOTOS])
    with tempfile.TemporaryDirectory() as scratch:
        takes = compose(photos[:SHOTS], Path(scratch))
        compare(takes, encoder, Path(scratch, "dbs"), LIMITS)


def validation_photos(root: Path) -> list[Picture]:
    """Photos of the validation split, in an order of chance that is always the same."""
    rows = [photo for photo in read_table(root) if photo.split == "val"]
    np.random.default_rng(0).shuffle(rows)
    rows = rows[: max(PHOTOS, SHOTS)]
    pictures = dict(read_pictures(root, rows))
    return [pictures[number] for number in range(len(rows))]


def looks(encoder: LiteImageEncoder, photos: Sequence[Picture]) -> None:
    """Print how many pairs lie below each limit, and the median distance."""
    plain = encoded(encoder, [part(photo) for photo in photos])
    chance = chance_similarity(plain)
    print(f"{len(photos)} photos; two of them have a mean cosine of {chance:.3f}")
    for name, look in LOOKS.items():
        other = encoded(encoder, [look(photo) for photo in photos])
        show(name, (1.0 - (plain * other).sum(axis=1)) / (1.0 - chance))
    cosines = plain @ plain.T
    np.fill_diagonal(cosines, -1.0)
    show("no copy: the most similar other photo", (1.0 - cosines.max(axis=1)) / (1.0 - chance))


def show(name: str, distances: NDArray[np.float32]) -> None:
    shares = "  ".join(f"<{limit:.2f} {np.mean(distances < limit):4.0%}" for limit in LIMITS)
    print(f"{name:40} {shares}  median {np.median(distances):.3f}", flush=True)


def encoded(encoder: LiteImageEncoder, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """(n, dim), unit length."""
    step = encoder.batch_size
    frames = [np.asarray(picture) for picture in pictures]
    return np.concatenate(
        [
            encoder.encode(np.stack(frames[first : first + step]))
            for first in range(0, len(frames), step)
        ]
    )


if __name__ == "__main__":
    main()
