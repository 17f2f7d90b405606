"""A film's sound track, decoded block by block into mono samples with their times.

With `indexer.media`, `indexer.frame` and `indexer.probe` the only module that imports av.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from numpy.typing import NDArray

from indexer.sound import mono

_UNTAKEN = Disposition.comment | Disposition.visual_impaired | Disposition.descriptions


@dataclass(frozen=True, repr=False)
class Sound:
    """A block of sound."""

    time_s: float | None
    """When its first sample is heard, in the stream's own seconds; None if it does not say."""
    rate: int
    """Samples per second in Hz."""
    samples: NDArray[np.float32]
    """(n,): the mean of the channels, full scale at -1 and 1."""

    def __repr__(self) -> str:
        return f"Sound({self.time_s} s, {len(self.samples)} samples at {self.rate} Hz)"


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The sound track to hear: the default one, else the first that can be decoded.

    Commentary and descriptions for the blind are taken only where there is nothing else.
    """
    streams = [s for s in container.streams.audio if s.codec_context is not None and s.rate]
    return min(
        streams,
        key=lambda s: (bool(s.disposition & _UNTAKEN), not s.disposition & Disposition.default),
        default=None,
    )


class SoundDecoder:
    """Decodes the packets of one sound track; what cannot be decoded is counted and left out."""

    def __init__(self, stream: AudioStream) -> None:
        self.unreadable_packets = 0
        self._stream = stream
        self._rate = 0
        self._converters: dict[tuple[str, str, int], AudioResampler] = {}

    def decode(self, packet: Packet[AudioStream] | None) -> Iterator[Sound]:
        """The blocks that a packet completes; None flushes the decoder."""
        try:
            frames = self._stream.decode(packet)
        except av.EOFError:
            return
        except (av.FFmpegError, ValueError):
            self.unreadable_packets += 1
            return
        for frame in frames:
            if frame.samples and frame.sample_rate:
                yield from self._blocks(frame)

    def _blocks(self, frame: AudioFrame) -> Iterator[Sound]:
        self._rate = self._rate or frame.sample_rate
        time_s = None
        if frame.pts is not None and frame.time_base is not None:
            time_s = float(frame.pts * frame.time_base)
        try:
            for part in self._at_first_rate(frame):
                yield Sound(time_s, self._rate, mono(part.to_ndarray(), part.layout.nb_channels))
                time_s = None
        except (av.FFmpegError, ValueError):
            self.unreadable_packets += 1

    def _at_first_rate(self, frame: AudioFrame) -> list[AudioFrame]:
        """A track that changes its rate midway is brought to the one that it began with."""
        if frame.sample_rate == self._rate:
            return [frame]
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if key not in self._converters:
            self._converters[key] = AudioResampler(frame.format, frame.layout, self._rate)
        return self._converters[key].resample(frame)
