"""Makes small real films whose truth is known, with PyAV's encoders.

    film = shots(tmp_path, lengths_s=(2.0, 3.0))
    film.cuts_s   # (2.0,)

Every maker takes the folder to write to, and returns a `MadeFilm`. A shot is a plain colour with a
moving texture over it, so that its frames differ and its mean colour is known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Rgb = tuple[int, int, int]
Picture = NDArray[np.uint8]
Wave = NDArray[np.float32]

COLOURS: tuple[Rgb, ...] = (
    (200, 40, 40),
    (40, 60, 200),
    (235, 225, 150),
    (30, 70, 40),
    (215, 120, 215),
    (60, 150, 150),
)
"""Colours of successive shots, so far apart that every detector sees a cut."""


@dataclass(frozen=True)
class MadeFilm:
    """A file and what is true of it."""

    path: Path
    times_s: tuple[float, ...] = ()
    """When each frame is shown."""
    end_s: float = 0.0
    """When the last frame's display ends."""
    cuts_s: tuple[float, ...] = ()
    """Time of the first frame after each cut."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the upright picture."""
    damaged_packets: int = 0


def texture(colour: Rgb, number: int, width: int = 160, height: int = 96) -> Picture:
    """A frame of a shot: its colour under soft diagonal bands that move on with `number`."""
    rows, columns = np.mgrid[0:height, 0:width]
    bands = 12 * np.sin((rows + 2 * columns) / 9.0 + number / 3.0)
    picture: Picture = np.clip(np.array(colour) + bands[..., None], 0, 255).astype(np.uint8)
    return picture


def plain(colour: Rgb, width: int = 64, height: int = 48) -> Picture:
    """One colour all over."""
    return np.full((height, width, 3), colour, np.uint8)


def write(
    path: Path,
    pictures: Iterable[Picture],
    stamps: Sequence[int] | None = None,
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    adjust: Callable[[Any], None] | None = None,
    frame_colours: dict[str, Any] | None = None,
    wave: Wave | None = None,
    wave_rate: int = 48000,
    wave_codec: str = "aac",
    wave_start_s: float = 0.0,
    file_options: dict[str, str] | None = None,
) -> Path:
    """Encode pictures to a file.

    Arguments:
        path: its suffix names the container.
        pictures: (height, width, 3) uint8, red first, all of one size.
        stamps: presentation time of each frame in units of 1 / rate; None for 0, 1, 2 …
        adjust: gets the output stream before the first frame (metadata, rotation, colours).
        frame_colours: arguments of VideoFrame.reformat, for matrix and range.
        wave: sound beside the pictures, (1 or 2 channels, samples), full scale at -1 and 1.
        wave_start_s: when its first sample is heard.
    """
    source = iter(pictures)
    first = next(source)
    with av.open(str(path), "w", options=file_options or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.options = (
            {"preset": "ultrafast"} | (options or {}) if "264" in codec else options or {}
        )
        if adjust:
            adjust(stream)
        if wave is not None:
            layout = "mono" if len(wave) == 1 else "stereo"
            track: Any = output.add_stream(wave_codec, rate=wave_rate, layout=layout)
        for number, picture in enumerate(_chain(first, source)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame = frame.reformat(format=pixel_format, **(frame_colours or {}))
            frame.pts = stamps[number] if stamps else number
            frame.time_base = 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if wave is not None:
            _write_wave(output, track, wave, wave_rate, round(wave_start_s * wave_rate))
    return path


def _chain(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from rest


def tone(length_s: float, pitch_hz: float = 440.0, rate: int = 48000, level: float = 0.1) -> Wave:
    """A sine, (1, samples)."""
    times_s = np.arange(round(length_s * rate)) / rate
    return (level * np.sin(2 * np.pi * pitch_hz * times_s)).astype(np.float32)[None]


def _write_wave(output: Any, stream: Any, wave: Wave, rate: int, first: int) -> None:
    block = 1024
    layout = "mono" if len(wave) == 1 else "stereo"
    for start in range(0, wave.shape[1], block):
        samples = np.ascontiguousarray(wave[:, start : start + block])
        frame = av.AudioFrame.from_ndarray(samples, "fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first + start, Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def shots(
    folder: Path,
    lengths_s: Sequence[float] = (2.0, 2.0, 2.0),
    rate: Fraction = Fraction(25),
    size: tuple[int, int] = (160, 96),
    name: str = "shots.mp4",
    **how: Any,
) -> MadeFilm:
    """Shots of different colours with a hard cut between each two; `how` goes to `write`."""
    counts = [round(length * rate) for length in lengths_s]
    width, height = size
    pictures = (
        texture(COLOURS[shot % len(COLOURS)], number, width, height)
        for shot, count in enumerate(counts)
        for number in range(count)
    )
    path = write(folder / name, pictures, rate=rate, **how)
    starts = np.cumsum([0, *counts])
    return MadeFilm(
        path,
        times_s=tuple(float(number / rate) for number in range(int(starts[-1]))),
        end_s=float(int(starts[-1]) / rate),
        cuts_s=tuple(float(int(start) / rate) for start in starts[1:-1]),
        size=size,
    )


def long_film(folder: Path, length_s: float = 600.0, shot_s: float = 20.0) -> MadeFilm:
    """Ten minutes that cost a second: tiny pictures at 5 fps, a cut every 20 s."""
    return shots(
        folder,
        lengths_s=(shot_s,) * round(length_s / shot_s),
        rate=Fraction(5),
        size=(64, 48),
        name="long.mp4",
    )


def variable_rate(folder: Path) -> MadeFilm:
    """25 fps with every frame that is a multiple of 3 dropped in the first shot, then 12.5 fps."""
    stamps = [n for n in range(75) if n % 3] + list(range(75, 175, 2))
    cut = 75
    pictures = (texture(COLOURS[0 if stamp < cut else 1], stamp) for stamp in stamps)
    path = write(folder / "variable.mkv", pictures, stamps)
    return MadeFilm(
        path,
        times_s=tuple(stamp / 25 for stamp in stamps),
        cuts_s=(cut / 25,),
        size=(160, 96),
    )


def delayed(folder: Path, delay_s: float = 2.0, name: str = "delayed.mp4") -> MadeFilm:
    """Sound from 0, pictures from `delay_s` on."""
    stamps = [round(delay_s * 25) + n for n in range(50)]
    pictures = [texture(COLOURS[0], n) for n in range(50)]
    path = write(folder / name, pictures, stamps, wave=tone(delay_s + 2.0))
    times_s = tuple(stamp / 25 for stamp in stamps)
    return MadeFilm(path, times_s, end_s=delay_s + 2.0, size=(160, 96))


def transport_stream(folder: Path) -> MadeFilm:
    """An MPEG-TS, whose clock starts at 1.4 s or so; shown from 0."""
    return shots(folder, lengths_s=(1.0, 1.0), name="broadcast.ts")


def one_frame(folder: Path) -> MadeFilm:
    """A film that is over after 0.04 s."""
    path = write(folder / "one.mp4", [texture(COLOURS[0], 0)])
    return MadeFilm(path, times_s=(0.0,), end_s=0.04, size=(160, 96))


def with_timecode(folder: Path, timecode: str, rate: Fraction, name: str = "tc.mov") -> MadeFilm:
    """A film that starts at a tape's own time."""
    path = write(
        folder / name,
        [texture(COLOURS[0], n) for n in range(10)],
        rate=rate,
        codec="mpeg2video" if name.endswith(".mxf") else "libx264",
        adjust=lambda stream: stream.metadata.update(timecode=timecode),
    )
    return MadeFilm(path, size=(160, 96))


def sound_only(folder: Path, cover: bool = False) -> MadeFilm:
    """A second of sound, with a cover picture if asked for."""
    path = folder / ("cover.mp4" if cover else "sound.m4a")
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("aac", rate=48000, layout="mono")
        if cover:
            image: Any = output.add_stream("mjpeg", rate=1)
            image.width, image.height, image.pix_fmt = 64, 48, "yuvj420p"
            image.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(plain(COLOURS[0]), "rgb24")
            output.mux(image.encode(frame.reformat(format="yuvj420p")))
            output.mux(image.encode(None))
        _write_wave(output, stream, tone(1.0), 48000, 0)
    return MadeFilm(path)


def still(folder: Path, name: str = "still.png") -> MadeFilm:
    """One image in an image format."""
    av.VideoFrame.from_ndarray(plain(COLOURS[0]), "rgb24").save(str(folder / name))
    return MadeFilm(folder / name)


def cut_off(film: MadeFilm, share: float = 0.6) -> MadeFilm:
    """The same file without its end, as after a broken copy."""
    whole = film.path.read_bytes()
    path = film.path.with_name(f"cutoff-{film.path.name}")
    path.write_bytes(whole[: int(len(whole) * share)])
    return replace(film, path=path)


def damaged(film: MadeFilm, packets: Sequence[int]) -> MadeFilm:
    """The same file with some of its picture packets (in file order) overwritten by ones."""
    with av.open(str(film.path)) as source:
        places = [(p.pos, p.size) for p in source.demux(video=0) if p.size]
    content = bytearray(film.path.read_bytes())
    for number in packets:
        position, size = places[number]
        assert position is not None
        content[position : position + size] = b"\xff" * size
    path = film.path.with_name(f"damaged-{film.path.name}")
    path.write_bytes(content)
    return replace(film, path=path, damaged_packets=len(packets))


def measuring_set() -> Path:
    """The folder of real clips with known cuts; skips the test where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "videos"
    folder = Path(os.environ.get("REELSEEK_VIDEOS") or beside)
    if not (folder / "cuts.json").exists():
        pytest.skip("the measuring set is not here: set REELSEEK_VIDEOS")
    return folder
