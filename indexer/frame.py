"""One decoded picture: its time, a thumbnail for the scene detector, pixels for an encoder.

With `indexer.media` and `indexer.probe` the only module that imports av.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from indexer.pixels import PixelLayout, Plane, layout_of, small_bgr

_HD_LINES = 720
"""From this height on an unnamed colour matrix is taken for BT.709, below for BT.601."""

_UNNAMED_MATRIX = (2, 3)
"""AVCOL_SPC_UNSPECIFIED and AVCOL_SPC_RESERVED."""

_SMOOTH = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class Frame:
    """One decoded picture and when it is shown."""

    __slots__ = ("_picture", "_thumbnail_size", "time_s")

    def __init__(self, time_s: float, picture: VideoFrame, size: tuple[int, int]) -> None:
        self.time_s = time_s
        """Seconds of presentation time."""
        self._picture = picture
        self._thumbnail_size = size

    def __repr__(self) -> str:
        shown = self._picture
        return f"<Frame {self.time_s:.3f} s, {shown.width}x{shown.height} {shown.format.name}>"

    def thumbnail_bgr(self) -> NDArray[np.uint8]:
        """A small picture for the scene detector, made from the decoder's planes.

        Costs about 0.1 ms. The same size for all frames of a film.

        Returns:
            (height, width, 3) uint8, blue first, the longer side at most 256 pixels, both even;
            as stored (not turned), one field of an interlaced frame.
        """
        layout = layout_of(self._picture.format.name)
        if layout is None:
            width, height = self._thumbnail_size
            return _convert(self._picture, width, height, "bgr24", Interpolation.FAST_BILINEAR)
        rows = slice(None, None, 2) if _two_fields(self._picture) else slice(None)
        planes = [view[rows] for view in _plane_views(self._picture, layout)]
        return small_bgr(planes, layout, self._thumbnail_size, _full_range(self._picture))

    def picture_rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """The whole frame, squashed to a size, for an encoder.

        Upright, in the colours that the film's matrix and range ask for, from one field where the
        frame is interlaced, smoothed on the way down (bicubic). Costs 1 to 5 ms. May be called
        from any thread.

        Returns:
            (height, width, 3) uint8, red first.
        """
        turns = quarter_turns(self._picture)
        if turns % 2:
            width, height = height, width
        picture = _one_field(self._picture) if _two_fields(self._picture) else self._picture
        rgb = _convert(picture, width, height, "rgb24", Interpolation.BICUBIC)
        return np.ascontiguousarray(np.rot90(rgb, turns))


def quarter_turns(picture: VideoFrame) -> int:
    """How many quarters counter-clockwise make the picture upright: 0 to 3."""
    return round(picture.rotation / 90) % 4


def _two_fields(picture: VideoFrame) -> bool:
    return picture.interlaced_frame and picture.height >= 4


def _full_range(picture: VideoFrame) -> bool:
    return picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")


def _plane_views(picture: VideoFrame, layout: PixelLayout) -> list[Plane]:
    """The decoder's own planes as arrays (rows, columns[, samples]), without a copy."""
    views: list[Plane] = []
    for plane, channels in zip(picture.planes, layout.channels, strict=False):
        lines = _lines(plane)
        samples: Plane = lines if layout.bits == 8 else lines.view(np.uint16)
        samples = samples[:, : plane.width * channels]
        views.append(samples if channels == 1 else samples.reshape(plane.height, -1, channels))
    return views


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    """A plane's memory as (rows, bytes of a row with its padding), top row first."""
    memory: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8)
    lines = memory.reshape(plane.height, abs(plane.line_size))
    return lines[::-1] if plane.line_size < 0 else lines


def _one_field(picture: VideoFrame) -> VideoFrame:
    """A copy of the even lines, half as high."""
    field = VideoFrame(picture.width, picture.height // 2, picture.format.name)
    for source, target in zip(picture.planes, field.planes, strict=True):
        lines = _lines(source)[::2] if source.height > 1 else _lines(source)
        into = _lines(target)
        rows, columns = min(len(lines), len(into)), min(lines.shape[1], into.shape[1])
        into[:rows, :columns] = lines[:rows, :columns]
    field.colorspace, field.color_range = picture.colorspace, picture.color_range
    return field


def _convert(
    picture: VideoFrame, width: int, height: int, pixel_format: str, how: Interpolation
) -> NDArray[np.uint8]:
    """Scale and convert by swscale: (height, width, 3) uint8."""
    matrix = None
    if picture.colorspace in _UNNAMED_MATRIX:
        matrix = Colorspace.ITU709 if picture.height >= _HD_LINES else Colorspace.ITU601
    converted = VideoReformatter().reformat(
        picture,
        width,
        height,
        pixel_format,
        src_colorspace=matrix,
        interpolation=how,
        src_color_range=ColorRange.JPEG if _full_range(picture) else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    plane = converted.planes[0]
    rows = _lines(plane)[:, : width * 3]
    return np.ascontiguousarray(rows).reshape(height, width, 3)
