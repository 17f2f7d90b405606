"""What a container says about itself: which track to index, and the facts of `MediaInfo`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from indexer import refusals
from indexer.frame import quarter_turns
from indexer.timecode import Timecode

_INTERLACED_ORDERS = (2, 3, 4, 5)
"""AV_FIELD_TT, BB, TB and BT."""

_STILL_BRANDS = ("avif", "heic", "heix", "mif1")
"""MP4's relatives that hold one picture."""


@dataclass(frozen=True)
class MediaInfo:
    """What probing tells about a film."""

    path: Path
    container: str
    """libav's name of the format, such as ``mov,mp4,m4a,3gp,3g2,mj2``."""
    codec: str
    """libav's name of the decoder, such as ``h264``."""
    pixel_format: str
    """As decoded, such as ``yuv420p10le``."""
    width: int
    """Pixels of the upright picture (the rotation applied); pixels need not be square."""
    height: int
    sample_aspect: Fraction
    """Width of a pixel divided by its height, upright; 1 where the film does not say."""
    rotation: int
    """Degrees counter-clockwise that stored pictures are turned to be upright: 0, 90, 180, 270."""
    frame_rate: Fraction
    """Frames per second as the stream states it, an average where it varies; 0 if unknown."""
    duration_s: float | None
    """The container's claim in seconds, None if it makes none."""
    interlaced: bool
    has_audio: bool
    start_timecode: str | None
    """Of the first frame, ``HH:MM:SS:FF``; ``;`` before the frames says drop-frame."""
    notes: tuple[str, ...]
    """What is odd about the file, a sentence each."""


def picture_stream(path: Path, container: InputContainer) -> VideoStream:
    """The track to index, or the reason why there is none."""
    if _is_still(container):
        raise refusals.still_picture(path)
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & covers]
    playable = [stream for stream in moving if stream.codec_context is not None]
    if playable:
        chosen = [s for s in playable if s.disposition & Disposition.default]
        return (chosen or playable)[0]
    if moving:
        raise refusals.no_decoder(path)
    if container.streams.audio:
        raise refusals.sound_only(path, with_cover=bool(container.streams.video))
    raise refusals.no_picture(path)


def _is_still(container: InputContainer) -> bool:
    names = container.format.name.split(",")
    if "image2" in names or any(name.endswith("_pipe") for name in names):
        return True
    return container.metadata.get("major_brand", "").strip() in _STILL_BRANDS


def probe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    rate: Fraction,
    duration_s: float | None,
) -> MediaInfo:
    turns = quarter_turns(first)
    width, height = first.width, first.height
    aspect = fraction(stream.sample_aspect_ratio) or Fraction(1)
    if turns % 2:
        width, height, aspect = height, width, 1 / aspect
    notes = []
    if len(container.streams.video) > 1:
        notes.append(f"of several picture tracks, number {stream.index} is indexed")
    timecode = _start_timecode(container, stream)
    if timecode is not None and not _is_timecode(timecode, rate):
        notes.append(f"its start timecode {timecode!r} does not exist at its frame rate")
    return MediaInfo(
        path=path,
        container=container.format.name,
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        width=width,
        height=height,
        sample_aspect=aspect,
        rotation=turns * 90,
        frame_rate=rate,
        duration_s=duration_s,
        interlaced=first.interlaced_frame or stream.codec_context.field_order in _INTERLACED_ORDERS,
        has_audio=bool(container.streams.audio),
        start_timecode=timecode,
        notes=tuple(notes),
    )


def _is_timecode(text: str, rate: Fraction) -> bool:
    try:
        Timecode.parse(text, rate)
    except ValueError:
        return False
    return True


def _start_timecode(container: InputContainer, stream: VideoStream) -> str | None:
    """From a tmcd track (MOV), the container (MXF, AVI) or the picture track (DV)."""
    for metadata in (
        stream.metadata,
        container.metadata,
        *(data.metadata for data in container.streams.data),
    ):
        for key, value in metadata.items():
            if key.lower() == "timecode" and value:
                return value
    return None


def fraction(value: Any) -> Fraction:
    """A rational of PyAV's, whatever its version calls it; 0 for None and for 0/0."""
    if value is None or not value or not value.denominator:
        return Fraction(0)
    return Fraction(int(value.numerator), int(value.denominator))
