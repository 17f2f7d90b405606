"""Small pictures from a decoder's own planes, for the scene detector.

PySceneDetect converts each whole frame to BGR and then shrinks it bilinearly until its longer side
is 256 pixels. Shrinking and conversion are both linear, so their order hardly matters: here each
plane is shrunk first, to the same size by the same method, and only the small picture is
converted. That touches a fraction of the pixels; `benchmarks/scenes.py` shows that the cuts agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LONGER_SIDE = 256
"""Pixels; PySceneDetect's DEFAULT_MIN_WIDTH."""

Picture = NDArray[np.uint8]
Plane = NDArray[np.uint8] | NDArray[np.uint16]

_PLANAR_YUV = re.compile(r"yuv[aj]?4\d\dp(?P<bits>9|10|12|14|16)?(le)?")
_GRAY = re.compile(r"gray(?P<bits>9|10|12|14|16)?(le)?")
_SEMI_PLANAR = {"nv12": False, "nv16": False, "nv24": False, "nv21": True, "nv42": True}
_PACKED_RGB = {
    "rgb24": (2, 1, 0),
    "bgr24": (0, 1, 2),
    "rgba": (2, 1, 0),
    "rgb0": (2, 1, 0),
    "bgra": (0, 1, 2),
    "bgr0": (0, 1, 2),
    "argb": (3, 2, 1),
    "0rgb": (3, 2, 1),
    "abgr": (1, 2, 3),
    "0bgr": (1, 2, 3),
}


@dataclass(frozen=True)
class PixelLayout:
    """How a pixel format lays its samples out, as far as `small_bgr` reads it."""

    kind: str
    """planar, semi-planar, gray, packed-rgb or planar-rgb"""
    bits: int = 8
    """Per sample; above 8 the planes are little-endian 16-bit."""
    order: tuple[int, ...] = ()
    """packed-rgb: where blue, green and red stand in a pixel."""
    chroma_swapped: bool = False
    """semi-planar: V stands before U."""
    channels: tuple[int, ...] = (1, 1, 1, 1)
    """For each plane, how many samples stand side by side for one of its pixels."""


def layout_of(pixel_format: str) -> PixelLayout | None:
    """The layout of one of libav's pixel formats; None for those that are not read directly."""
    if match := _PLANAR_YUV.fullmatch(pixel_format):
        return PixelLayout("planar", int(match["bits"] or 8))
    if match := _GRAY.fullmatch(pixel_format):
        return PixelLayout("gray", int(match["bits"] or 8))
    if pixel_format in _SEMI_PLANAR:
        swapped = _SEMI_PLANAR[pixel_format]
        return PixelLayout("semi-planar", chroma_swapped=swapped, channels=(1, 2))
    if pixel_format in _PACKED_RGB:
        order = _PACKED_RGB[pixel_format]
        bytes_per_pixel = 3 if pixel_format.endswith("24") else 4
        return PixelLayout("packed-rgb", order=order, channels=(bytes_per_pixel,))
    if pixel_format in ("gbrp", "gbrap"):
        return PixelLayout("planar-rgb")
    return None


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) in pixels of the thumbnails of a film: longer side 256 or less, both even."""
    factor = max(max(width, height) / LONGER_SIDE, 1.0)
    return _even(width / factor), _even(height / factor)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def small_bgr(
    planes: Sequence[Plane], layout: PixelLayout, size: tuple[int, int], full_range: bool
) -> Picture:
    """Shrink a frame's planes and convert the result.

    Arguments:
        planes: one array (rows, columns) per plane, or (rows, columns, samples) where samples
            stand side by side; uint8, or uint16 for layouts of more than 8 bits. Rows may be
            strided, so one field of an interlaced frame is ``plane[::2]``.
        layout: of the planes.
        size: (width, height) of the result, both even.
        full_range: whether luma spans 0 to 255 instead of 16 to 235.

    Returns:
        (height, width, 3) uint8, blue first; colours by BT.601 whatever the film's matrix, which
        is also what OpenCV hands to PySceneDetect.
    """
    if layout.kind == "packed-rgb":
        return cv2.resize(planes[0], size)[..., list(layout.order)].astype(np.uint8)
    if layout.kind == "planar-rgb":
        green, blue, red = (cv2.resize(plane, size) for plane in planes[:3])
        return cv2.merge((blue, green, red)).astype(np.uint8, copy=False)
    return _yuv_to_bgr(planes, layout, size, full_range)


def _yuv_to_bgr(
    planes: Sequence[Plane], layout: PixelLayout, size: tuple[int, int], full_range: bool
) -> Picture:
    width, height = size
    i420 = np.empty((height * 3 // 2, width), np.uint8)
    luma = i420[:height]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    _shrink(planes[0], layout.bits, luma)
    if layout.kind == "gray":
        chroma[:] = 128
    elif layout.kind == "semi-planar":
        pair = cv2.resize(planes[1], (width // 2, height // 2))
        first = 1 if layout.chroma_swapped else 0
        chroma[0], chroma[1] = pair[..., first], pair[..., 1 - first]
    else:
        _shrink(planes[1], layout.bits, chroma[0])
        _shrink(planes[2], layout.bits, chroma[1])
    if full_range:
        cv2.LUT(luma, _FULL_TO_LIMITED_LUMA, dst=luma)
        chroma[:] = _FULL_TO_LIMITED_CHROMA[chroma]
    return cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420).astype(np.uint8, copy=False)


def _shrink(plane: Plane, bits: int, into: Picture) -> None:
    """Resize bilinearly into a contiguous 8-bit array."""
    size = (into.shape[1], into.shape[0])
    if bits == 8:
        cv2.resize(plane, size, dst=into)
    else:
        np.right_shift(cv2.resize(plane, size), bits - 8, out=into, casting="unsafe")


def _squeeze(low: int, high: int) -> Picture:
    """A table that maps 0..255 to low..high."""
    table: Picture = np.round(low + np.arange(256) * (high - low) / 255).astype(np.uint8)
    return table


_FULL_TO_LIMITED_LUMA = _squeeze(16, 235)
_FULL_TO_LIMITED_CHROMA = _squeeze(16, 240)
