"""How a picture of any shape is brought to the size that a network takes: arithmetic only.

Sizes are (width, height) in pixels of the upright picture. The three fits of
`storage.bundles.FITS`:

- *squash*: the whole picture, its shape given up; there is nothing to work out;
- *centre-crop*: the shorter side fills the square, what sticks out of it on both ends is lost;
- *letterbox*: the whole picture in its shape, with bars where it does not reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

_LONGEST = 16
"""A film more than so many times as long as it is wide is cut to that before it is scaled: a
strip of 16,000 × 2 pixels would take gigabytes otherwise."""

_PIXEL_ASPECTS = (Fraction(1, 4), Fraction(4))
"""Pixels are between these; anything beyond is a damaged header."""


@dataclass(frozen=True)
class Crop:
    """Scale a picture, then cut out a part of the size that is wanted."""

    scaled: tuple[int, int]
    """The picture's size when it is scaled, no side smaller than what is cut out."""
    left: int
    top: int
    share: tuple[Fraction, Fraction] | None = None
    """How much of width and height, in the middle, is scaled at all; None for all of both."""


@dataclass(frozen=True)
class Box:
    """Scale a picture whole, then lay it on an empty one."""

    width: int
    height: int
    left: int
    top: int


def centre_crop(size: tuple[int, int], wanted: tuple[int, int]) -> Crop:
    """How a film's picture is scaled and cropped for CLIP.

    The numbers are those of QD-DETR's run_on_video (data_utils.py, VideoLoader), which made the
    features of QVHighlights: shorter side to n, longer one to int(n · long / short), offsets
    int((side - n) / 2), all rounded down; pixels are taken for square. There n × n is wanted; any
    size may be here.
    """
    width, height = (min(side, _LONGEST * min(size)) for side in size)
    is_strip = (width, height) != size
    share = (Fraction(width, size[0]), Fraction(height, size[1])) if is_strip else None
    wanted_width, wanted_height = wanted
    if height * wanted_width >= width * wanted_height:
        scaled = wanted_width, height * wanted_width // width
    else:
        scaled = width * wanted_height // height, wanted_height
    left, top = (scaled[0] - wanted_width) // 2, (scaled[1] - wanted_height) // 2
    return Crop(scaled, left, top, share)


def still_crop(size: tuple[int, int], n: int) -> Crop:
    """How a picture that is no film is scaled and cropped to n × n: openai/CLIP's `_transform`.

    As `centre_crop`, but for offsets, which torchvision's CenterCrop rounds to the nearest, halves
    to even.
    """
    width, height = size
    scaled = (n, n * height // width) if width <= height else (n * width // height, n)
    return Crop(scaled, round((scaled[0] - n) / 2), round((scaled[1] - n) / 2))


def letterbox(
    size: tuple[int, int], wanted: tuple[int, int], pixel_aspect: Fraction = Fraction(1)
) -> Box:
    """Where the whole picture goes when its shape on a screen is kept.

    Arguments:
        size: of the picture as stored, upright.
        wanted: what the network takes.
        pixel_aspect: width of a pixel divided by its height; 64/45 for a PAL tape shown as 16:9.
    """
    lowest, highest = _PIXEL_ASPECTS
    shape = Fraction(*size) * (pixel_aspect if lowest <= pixel_aspect <= highest else 1)
    wanted_width, wanted_height = wanted
    width = min(wanted_width, max(1, round(wanted_height * shape)))
    height = min(wanted_height, max(1, round(wanted_width / shape)))
    return Box(width, height, (wanted_width - width) // 2, (wanted_height - height) // 2)
