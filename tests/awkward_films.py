"""Films that a careless reader gets wrong: turned, interlaced, edited, glued, odd in colour."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from films import COLOURS, MadeFilm, Rgb, plain, shots, texture, write


def measured_colour(
    folder: Path, rgb: Rgb, matrix: str, full_range: bool, tagged: bool = True, height: int = 48
) -> MadeFilm:
    """A plain colour whose YUV is computed here, from the standards' own coefficients.

    Arguments:
        matrix: ``601``, ``709`` or ``2020``.
        tagged: whether the file says which matrix it is.
    """
    red_share, blue_share, code = {
        "601": (0.299, 0.114, 6),  # AVCOL_SPC_SMPTE170M
        "709": (0.2126, 0.0722, 1),
        "2020": (0.2627, 0.0593, 9),
    }[matrix]
    red, green, blue = (value / 255 for value in rgb)
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    chroma = ((blue - luma) / (2 - 2 * blue_share), (red - luma) / (2 - 2 * red_share))
    scale, base, chroma_scale = (255, 0, 255) if full_range else (219, 16, 224)
    values = [base + scale * luma, *(128 + chroma_scale * part for part in chroma)]
    planes = np.stack([np.full((height, 64), round(value), np.uint8) for value in values])

    path = folder / f"colour{matrix}{full_range}{tagged}{height}.mkv"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv444p"
        stream.color_range = 2 if full_range else 1
        if tagged:
            stream.colorspace = code
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(planes, "yuv444p", channel_last=False)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return MadeFilm(path, size=(64, height))


def without_decoder(folder: Path) -> MadeFilm:
    """An AVI whose codec nobody knows."""
    path = shots(folder, (0.4,), name="known.avi", codec="mjpeg", pixel_format="yuvj420p").path
    content = path.read_bytes().replace(b"MJPG", b"XQZ1").replace(b"mjpg", b"XQZ1")
    path = folder / "unknown.avi"
    path.write_bytes(content)
    return MadeFilm(path)


def size_changes(folder: Path) -> MadeFilm:
    """Two recordings glued together: another size, and a clock that starts again."""
    parts = [
        shots(folder, (1.0,), size=size, name=f"part{size[0]}.ts").path.read_bytes()
        for size in ((160, 96), (320, 240))
    ]
    path = folder / "glued.ts"
    path.write_bytes(b"".join(parts))
    return MadeFilm(path, tuple(n / 25 for n in range(50)), end_s=2.0, size=(160, 96))


def turned(folder: Path, degrees: int) -> MadeFilm:
    """Stored turned clockwise by `degrees`, with the note to turn it back: red is top left."""
    upright = plain((20, 20, 20), 160, 96)
    upright[:48, :80] = (220, 30, 30)
    stored = np.ascontiguousarray(np.rot90(upright, -(degrees // 90)))
    path = write(
        folder / f"turned{degrees}.mp4",
        [stored] * 10,
        adjust=lambda stream: stream.set_display_rotation(degrees),
    )
    return MadeFilm(path, size=(160, 96))


def interlaced(folder: Path) -> MadeFilm:
    """Even lines white and odd lines black: one field is white, both together are grey."""
    combed = plain((0, 0, 0), 720, 576)
    combed[::2] = 255
    path = write(
        folder / "interlaced.mp4",
        [combed] * 10,
        options={"x264-params": "tff=1", "crf": "5"},
    )
    return MadeFilm(path, size=(720, 576))


def edited(folder: Path) -> MadeFilm:
    """The first second lies before an edit list's start and is not shown."""
    path = write(
        folder / "edited.mp4",
        [texture(COLOURS[0 if n < 25 else 1], n) for n in range(75)],
        stamps=range(-25, 50),
        file_options={"avoid_negative_ts": "disabled"},
    )
    return MadeFilm(path, tuple(n / 25 for n in range(50)), end_s=2.0, size=(160, 96))
