"""Open a film, probe it, and decode its pictures, and its sound, once from start to end.

With its parts `indexer.frame` (pixels), `indexer.audio` (samples) and `indexer.probe` (facts) the
only module that imports av (PyAV, whose wheels carry FFmpeg).

    with open_film(Path("tape.mov")) as film:
        for frame in film.frames():
            cutter.push(frame.time_s, frame.thumbnail_bgr())
        print(film.end_s, film.unreadable_packets, film.notes)

**Zero.** Containers with a timeline of their own (MOV/MP4, Matroska, AVI, ASF, MXF …) keep it: a
picture track that begins late begins late here too. Transport and program streams (libav's
``TS_DISCONT`` formats), whose clock starts anywhere, count from the earliest of their tracks, as
players show them. Edit lists are applied by libav: what an edit hides is not handed out. What
happens to timestamps that are missing or move backwards is said in `indexer.clock`.

**Memory.** Nothing is kept but what the decoder holds (a few pictures per thread) and the frames
that the caller keeps: one `Frame` keeps one decoded picture (3 MB for 1080p, 12 MB for 2160p, at 8
bits and 4:2:0), so eight of them take 25 MB and 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from indexer import refusals
from indexer.audio import Sound, SoundDecoder, sound_stream
from indexer.clock import PresentationClock, StampChooser
from indexer.frame import Frame
from indexer.pixels import thumbnail_size
from indexer.probe import MediaInfo, fraction, picture_stream, probe

__all__ = ["Film", "Frame", "MediaInfo", "Sound", "open_film"]

Hear = Callable[[Sound], None]
"""Takes the next block of a film's sound; its time is in seconds of presentation time."""

DECODER_THREADS = 0
"""0 lets libav choose: one per core and one more."""

_LENIENT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
"""Tags that are not UTF-8 must not refuse a film; from PyAV 19 on they never do."""

_SHORT_BY_S = 2.0
"""A film that ends this much before its container says gets a note."""

_TS_DISCONT = 0x0200
"""AVFMT_TS_DISCONT: a container whose clock may start anywhere and break."""

_MAX_READ_ERRORS = 100
"""So many failed reads without a packet between them end the pass."""


def open_film(path: Path, with_sound: bool = False) -> Film:
    """Open a film and decode its first frame.

    Costs a few milliseconds and does not read the whole file. Use the result as a context manager.
    `with_sound` has the sound track, if there is one, decoded in the pass over the frames.

    Raises:
        MediaNotFound: no such file, or a folder.
        NotAVideo: not a media file, sound only, or a still picture.
        UnreadableMedia: a film that cannot be decoded, or a file that may not be read.
    """
    refusals.check_file(path)
    try:
        container = av.open(
            f"file:{path}",  # so that a colon in a name is no protocol, and
            options={"protocol_whitelist": "file"},  # a playlist fetches nothing from a network
            **_LENIENT,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise refusals.not_opened(path, _reason(error)) from error
    try:
        return Film(path, container, with_sound)
    except BaseException:
        container.close()
        raise


class Film:
    """One open film: what it is, and one pass over its frames. Made by `open_film`."""

    def __init__(self, path: Path, container: InputContainer, with_sound: bool) -> None:
        self.unreadable_packets = 0
        """Packets that could not be read or decoded so far; the pass goes on after each."""
        self.first_unreadable_s: float | None = None
        """About where the first of them lies, in seconds of presentation time."""
        self.start_s = 0.0
        """When the first frame is shown; known as soon as `frames` has handed it out."""
        self._container = container
        self._stream = picture_stream(path, container)
        self._sound = sound_stream(container) if with_sound else None
        self._decoder = SoundDecoder(self._sound) if self._sound else None
        self._hear: Hear | None = None
        self._sound_zero_s = 0.0
        self._heard_early: list[Sound] = []
        self._reading_broke = False
        self._pass_began = False
        self._pass_ended = False
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = DECODER_THREADS
        rate = fraction(self._stream.guessed_rate) or fraction(self._stream.average_rate)
        self.may_jump = bool(container.format.flags & _TS_DISCONT)
        """Whether the clock of such a container is known to break."""
        zero_s = (container.start_time or 0) / av.time_base if self.may_jump else 0.0
        claimed_s = container.duration / av.time_base if container.duration else None
        self._clock = PresentationClock(float(rate), zero_s, may_jump=self.may_jump)
        self._stamps = StampChooser()
        self._decoded = self._decode()
        first = self._first_picture(path)
        self._peeked = [first]
        self._thumbnail_size = thumbnail_size(first.width, first.height)
        self.info = probe(path, container, self._stream, first, rate, claimed_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; frames that were handed out stay valid."""
        self._decoded.close()
        self._container.close()

    @property
    def end_s(self) -> float:
        """When the display of the last frame handed out so far ends, in presentation time."""
        return self._clock.end_s

    @property
    def notes(self) -> tuple[str, ...]:
        """What the archivist should know: those of `info`, and after the pass what it met."""
        notes = list(self.info.notes)
        if self.unreadable_packets:
            near = _clock_text(self.first_unreadable_s or 0.0)
            notes.append(f"{_counted(self.unreadable_packets, 'packet')} unreadable near {near}")
        if self._decoder and self._decoder.unreadable_packets:
            notes.append(
                f"{_counted(self._decoder.unreadable_packets, 'packet')} of sound unreadable"
            )
        if self._clock.first_gap_s:
            start, end = map(_clock_text, self._clock.first_gap_s)
            others = self._clock.gaps - 1
            more = f", and {_counted(others, 'such gap')} later" if others else ""
            notes.append(f"no pictures from {start} to {end}{more}")
        if self._reading_broke:
            notes.append(f"the file cannot be read past {_clock_text(self.end_s)}")
        if self._clock.repaired_frames:
            frames = _counted(self._clock.repaired_frames, "frame")
            notes.append(f"{frames} without a usable time of its own, placed after the one before")
        if self._clock.jumps:
            jumps = _counted(self._clock.jumps, "jump")
            notes.append(f"{jumps} of the recording's clock taken out")
        claimed_s = self.info.duration_s or 0.0
        if self._pass_ended and self.end_s < claimed_s - _SHORT_BY_S:
            ends, claimed = _clock_text(self.end_s), _clock_text(claimed_s)
            notes.append(f"the pictures end at {ends}, though the file claims {claimed}")
        return tuple(notes)

    def frames(self, hear: Hear | None = None) -> Iterator[Frame]:
        """All frames in the order they are shown, each with a later time than the one before.

        There is one pass per film. What cannot be decoded is skipped and counted in
        `unreadable_packets`; no exception of libav comes out. A film opened with its sound calls
        `hear` with each block as the pass meets it, in the order of the file, after `start_s` is
        known.
        """
        if self._pass_began:
            raise RuntimeError("a film has one pass over its frames: open it again for another")
        self._pass_began = True
        first = self._timed(self._peeked.pop())
        self.start_s = first.time_s
        self._sound_zero_s = self._clock.zero_s
        self._hear = hear
        for sound in self._heard_early:
            self._let_hear(sound)
        self._heard_early.clear()
        yield first
        for picture in self._decoded:
            yield self._timed(picture)
        self._pass_ended = True

    def _timed(self, picture: VideoFrame) -> Frame:
        unit_s = picture.time_base or self._stream.time_base or Fraction(0)
        stamp = self._stamps.choose(picture.pts, picture.dts)
        stamp_s = None if stamp is None else float(stamp * unit_s)
        time_s = self._clock.time(stamp_s, float((picture.duration or 0) * unit_s))
        return Frame(time_s, picture, self._thumbnail_size, self.info.sample_aspect)

    def _first_picture(self, path: Path) -> VideoFrame:
        for picture in self._decoded:
            return picture
        raise refusals.no_frame(path, f"{self.unreadable_packets} of its packets are unreadable")

    def _decode(self) -> Generator[VideoFrame, None, None]:
        for packet in self._packets():
            if packet.stream_index == self._stream.index:
                yield from self._pictures_of(packet)
            else:
                self._sounds_of(packet)
        if self._reading_broke:  # a regular end brings packets that flush the decoders
            yield from self._pictures_of(None)
            self._sounds_of(None)

    def _packets(self) -> Iterator[Packet[Any]]:
        """Packets of the tracks in use to the end; reading is taken up again after an error."""
        streams = [stream for stream in (self._stream, self._sound) if stream is not None]
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(*streams):
                    errors = 0
                    yield packet
                return
            except IndexError:
                return  # PyAV's end of file where a damaged stream made tracks appear late
            except (av.FFmpegError, OSError):
                if errors == 0:
                    self._count_unreadable()
                errors += 1
        self._reading_broke = True

    def _pictures_of(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            pictures = self._stream.decode(packet)
        except av.EOFError:
            return []
        except (av.FFmpegError, ValueError):
            self._count_unreadable()
            return []
        if packet is not None and packet.is_corrupt:  # lost parts of a transport stream
            self._count_unreadable()
        return pictures

    def _sounds_of(self, packet: Packet[Any] | None) -> None:
        assert self._decoder is not None, "no packets come of a track that is not in use"
        for sound in self._decoder.decode(packet):
            if self._pass_began:
                self._let_hear(sound)
            else:
                self._heard_early.append(sound)

    def _let_hear(self, sound: Sound) -> None:
        if self._hear is None:
            return
        if sound.time_s is not None:
            sound = replace(sound, time_s=sound.time_s - self._sound_zero_s)
        self._hear(sound)

    def _count_unreadable(self) -> None:
        self.unreadable_packets += 1
        if self.first_unreadable_s is None:
            self.first_unreadable_s = self.end_s


def _clock_text(time_s: float) -> str:
    """0:41, or 1:02:03 from an hour on."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number:,} {thing}s"


def _reason(error: Exception) -> str:
    """libav's own words, without the path and the number."""
    return str(getattr(error, "strerror", None) or error).lower()
