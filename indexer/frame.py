"""One decoded picture: its time, a thumbnail for the scene detector, pixels for an encoder.

With `indexer.media` and `indexer.probe` the only module that imports av.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from indexer.fit import Crop, centre_crop, letterbox
from indexer.pixels import PixelLayout, Plane, layout_of, small_bgr

_HD_LINES = 720
"""From this height on an unnamed colour matrix is taken for BT.709, below for BT.601."""

_UNNAMED_MATRIX = (2, 3)
"""AVCOL_SPC_UNSPECIFIED and AVCOL_SPC_RESERVED."""

_BT709 = 1
"""AVCOL_SPC_BT709."""

_FILTER_MATRICES = {
    _BT709: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
    10: "bt2020c",
}
"""AVColorSpace to the names of libavfilter's `scale`; BT.601, its default, for all others."""

_UPRIGHT_FILTERS = {0: (), 1: ("transpose=cclock",), 2: ("hflip", "vflip"), 3: ("transpose=clock",)}
"""By quarter turns counter-clockwise, as the ffmpeg program turns a film by itself."""

_ANY_UNIT = Fraction(1, 1000)
"""A graph's unit of time; nothing here depends on it."""

_GRAPHS_KEPT = 4
"""Filter graphs that a thread remembers: a film has one, unless its pictures change their size."""


class Frame:
    """One decoded picture and when it is shown."""

    __slots__ = ("_picture", "_pixel_aspect", "_thumbnail_size", "time_s")

    def __init__(
        self,
        time_s: float,
        picture: VideoFrame,
        size: tuple[int, int],
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        """
        Arguments:
            size: width and height of the film's thumbnails.
            pixel_aspect: width of a pixel of the upright picture, divided by its height.
        """
        self.time_s = time_s
        """Seconds of presentation time."""
        self._picture = picture
        self._pixel_aspect = pixel_aspect
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

    def picture_rgb(self, width: int, height: int, fit: str = "squash") -> NDArray[np.uint8]:
        """The frame at the size that an encoder takes.

        Upright, in the colours that the film's matrix and range ask for, from one field where the
        frame is interlaced, smoothed on the way down (bicubic). Costs 1 to 5 ms. May be called
        from any thread.

        Arguments:
            fit: "squash" for the whole frame, its shape given up; "centre-crop" for its middle, as
                official CLIP does it; "letterbox" for the whole frame as it looks on a screen,
                between black bars. See `indexer.fit`.

        Returns:
            (height, width, 3) uint8, red first.

        Raises:
            ValueError: a fit that does not exist.
        """
        if fit == "squash":
            return self._squashed(width, height)
        if fit == "letterbox":
            return self._letterboxed(width, height)
        if fit == "centre-crop":
            return self._cropped(width, height)
        raise ValueError(f"there is no fit {fit!r}")

    def _squashed(self, width: int, height: int) -> NDArray[np.uint8]:
        turns = quarter_turns(self._picture)
        if turns % 2:
            width, height = height, width
        rgb = _convert(self._one_instant(), width, height, "rgb24", Interpolation.BICUBIC)
        return np.ascontiguousarray(np.rot90(rgb, turns))

    def _letterboxed(self, width: int, height: int) -> NDArray[np.uint8]:
        """Bars are black: so are those of films and film stills that networks have seen, and so
        open_clip pads; a network's own mean colour would make archives depend on one more thing."""
        box = letterbox(self._upright_size(), (width, height), self._pixel_aspect)
        canvas = np.zeros((height, width, 3), np.uint8)
        rows = slice(box.top, box.top + box.height)
        columns = slice(box.left, box.left + box.width)
        canvas[rows, columns] = self._squashed(box.width, box.height)
        return canvas

    def _cropped(self, width: int, height: int) -> NDArray[np.uint8]:
        """The pixels that the ffmpeg program gives to official CLIP, bit for bit.

        Hence pixels count as square and an unnamed matrix as BT.601. Two things are done better
        than there. A turned film is not squeezed. An interlaced one gives one field, not two
        instants woven together: of 32 moving clips woven so, lite's vector of a field kept a
        cosine of 0.99 to that of the picture as it was shot, that of the woven frame 0.94.
        """
        crop = centre_crop(self._upright_size(), (width, height))
        return cropped_rgb(self._one_instant(), quarter_turns(self._picture), crop, (width, height))

    def _upright_size(self) -> tuple[int, int]:
        width, height = self._picture.width, self._picture.height
        return (height, width) if quarter_turns(self._picture) % 2 else (width, height)

    def _one_instant(self) -> VideoFrame:
        return _one_field(self._picture) if _two_fields(self._picture) else self._picture


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
    if picture.colorspace in _UNNAMED_MATRIX and picture.height >= _HD_LINES:
        field.colorspace = _BT709  # half as high, it would be taken for standard definition
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
    return _rgb_array(converted)


def _rgb_array(picture: VideoFrame) -> NDArray[np.uint8]:
    """A packed picture of three bytes a pixel as (height, width, 3)."""
    rows = _lines(picture.planes[0])[:, : picture.width * 3]
    return np.ascontiguousarray(rows).reshape(picture.height, picture.width, 3)


class _Graphs(threading.local):
    """The filter graphs of a thread, the one used last at the end."""

    def __init__(self) -> None:
        self.by_use: OrderedDict[tuple[object, ...], Graph] = OrderedDict()


_graphs = _Graphs()


def cropped_rgb(
    picture: VideoFrame, turns: int, crop: Crop, wanted: tuple[int, int]
) -> NDArray[np.uint8]:
    """Turn upright, scale, convert and crop by libavfilter: (height, width, 3) uint8."""
    kind = picture.width, picture.height, picture.format.name
    matrix = _FILTER_MATRICES.get(int(picture.colorspace), "bt601")
    value_range = "pc" if _full_range(picture) else "tv"
    key = (kind, matrix, value_range, turns, crop, wanted)
    graph = _graphs.by_use.pop(key, None)
    if graph is None:
        graph = _made_graph(
            picture,
            *_UPRIGHT_FILTERS[turns],
            *(
                []
                if crop.share is None
                else [f"crop=iw*{crop.share[0]}:ih*{crop.share[1]}:exact=1"]
            ),
            f"scale={crop.scaled[0]}:{crop.scaled[1]}:flags=bicubic:in_color_matrix={matrix}"
            f":in_range={value_range}:out_range=pc",
            "format=rgb24",
            f"crop={wanted[0]}:{wanted[1]}:{crop.left}:{crop.top}",
        )
    graph.vpush(picture)
    result = _rgb_array(graph.vpull())
    _graphs.by_use[key] = graph  # back in its place; one that raised is not kept
    if len(_graphs.by_use) > _GRAPHS_KEPT:
        _graphs.by_use.popitem(last=False)
    return result


def _made_graph(like: VideoFrame, *filters: str) -> Graph:
    """A chain of filters, each "name=arguments", for frames like the given one; one thread."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=like.width, height=like.height, format=like.format, time_base=_ANY_UNIT
    )
    chain = [graph.add(*text.split("=", 1)) for text in filters]
    graph.link_nodes(source, *chain, graph.add("buffersink")).configure()
    return graph
