"""From the samples of a sound track to the 2 s windows at 32 kHz that a sound network hears.

The arithmetic is that of the pipeline that made the published features (QD-DETR, UMT): ffmpeg
writes a 16-bit WAV, `librosa.load(sr=32000, mono=True)` averages its channels and resamples, and
the whole windows are cut from the start, back to back. Here it happens as the samples come, so
that a long film needs no more memory than a short one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 32_000
"""Hz."""
WINDOW_SAMPLES = 64_000
"""2 s, as long as a clip."""

_FULL_SCALE = 32_768
"""The loudest 16-bit sample stands for 1.0."""


def mono(samples: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """The mean of all channels, scaled to -1…1.

    Samples are first brought to 16 bits as ffmpeg does it for a WAV: floats are rounded and
    clipped, longer integers cut. The networks were trained on such samples; and damaged ones
    (infinite, or not a number) cannot reach them. Do not let ffmpeg mix the channels: its stereo
    mix is no mean, but 3 dB louder.

    Args:
        samples: (channels, n) planar or (1, n · channels) packed, as `av.AudioFrame.to_ndarray`
            gives them; uint8, int16, int32, int64, float32 or float64.
        channels: how many there are, at least 1.

    Returns:
        (n,).

    Raises:
        ValueError: samples of another shape or type.
    """
    if samples.ndim != 2 or channels < 1 or (samples.shape[0] not in (1, channels)):
        raise ValueError(f"{channels} channels cannot lie in an array of shape {samples.shape}")
    if samples.shape[0] != channels:  # packed: the channels take turns
        samples = samples.reshape(-1, channels).T
    scaled = _as_16_bits(samples).astype(np.float32) / np.float32(_FULL_SCALE)
    return np.asarray(scaled.mean(axis=0, dtype=np.float32))


class Resampler:
    """Brings a mono sound track to 32 kHz as it comes, with soxr's quality HQ as librosa does.

    Holds what the filter spans. 32 kHz passes through untouched.
    """

    def __init__(self, source_rate: int) -> None:
        """Start a track.

        Args:
            source_rate: Hz of the samples that will come.

        Raises:
            ValueError: a rate that is not positive.
        """
        if source_rate <= 0:
            raise ValueError(f"a sound track cannot have {source_rate} samples per second")
        self._source_rate = source_rate
        self._stream = None if source_rate == SAMPLE_RATE else _soxr_stream(source_rate)
        self._pushed = 0
        self._given = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the samples that follow, (n,); returns those at 32 kHz that they settle."""
        self._pushed += len(samples)
        if self._stream is None:
            resampled = samples
        else:
            resampled = self._stream.resample_chunk(np.ascontiguousarray(samples))
        self._given += len(resampled)
        return resampled

    def finish(self) -> NDArray[np.float32]:
        """End the track; returns what is still to come of its ceil(n · 32000 / rate) samples."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        tail: NDArray[np.float32] = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        # soxr can come out one sample short. This is librosa's own rounding, in its own order.
        due = math.ceil(self._pushed * (SAMPLE_RATE / self._source_rate)) - self._given
        return np.pad(tail[: max(0, due)], (0, max(0, due - len(tail))))


class SoundWindows:
    """Resamples a sound track as it comes, and cuts it into windows.

    Holds at most one window and what the resampler holds. What is left at the end of the track,
    shorter than a window, is dropped and never padded.
    """

    def __init__(self, source_rate: int) -> None:
        """Start a track of so many Hz; raises as `Resampler`."""
        self._resampler = Resampler(source_rate)
        self._window = np.zeros(WINDOW_SAMPLES, np.float32)
        self._filled = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the samples that follow, (n,) mono at the source's rate.

        Returns:
            (k, 64000): the windows that these samples complete, in order; k may be 0.
        """
        return self._cut(self._resampler.push(samples))

    def finish(self) -> NDArray[np.float32]:
        """End the track; returns the windows, (k, 64000), that the resampler's rest completes."""
        return self._cut(self._resampler.finish())

    def _cut(self, resampled: NDArray[np.float32]) -> NDArray[np.float32]:
        complete = []
        while len(resampled):
            taken = resampled[: WINDOW_SAMPLES - self._filled]
            self._window[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            resampled = resampled[len(taken) :]
            if self._filled == WINDOW_SAMPLES:
                complete.append(self._window.copy())
                self._filled = 0
        return np.array(complete, np.float32).reshape(-1, WINDOW_SAMPLES)


def _as_16_bits(samples: NDArray[Any]) -> NDArray[np.int16]:
    levels: NDArray[Any]
    if samples.dtype == np.int16:
        levels = samples
    elif samples.dtype == np.uint8:
        levels = (samples.astype(np.int16) - 128) * np.int16(256)
    elif samples.dtype in (np.int32, np.int64):
        levels = samples >> (samples.dtype.itemsize * 8 - 16)
    elif samples.dtype in (np.float32, np.float64):
        rounded = np.rint(np.nan_to_num(samples).clip(-1.0, 1.0) * _FULL_SCALE)
        levels = rounded.clip(None, _FULL_SCALE - 1)
    else:
        raise ValueError(f"sound samples of type {samples.dtype} are not known")
    return levels.astype(np.int16)


def _soxr_stream(source_rate: int) -> Any:
    import soxr

    return soxr.ResampleStream(source_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
