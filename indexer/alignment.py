"""Lays blocks of sound onto a film's own time, so that clip k is heard where clip k is seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from indexer.audio import Sound
from indexer.clock import JUMP_S

_TOLERANCE_S = 0.05
"""Timestamps that are off by less are jitter or rounding: blocks are taken as back to back."""

_LONGEST_GAP_S = 3600.0
"""A longer step is a damaged timestamp, not a silence."""

_SILENCE_BLOCK_S = 2.0


class SoundAligner:
    """Turns blocks with times into one run of samples that begins at a given time.

    What comes before that time is dropped and what is missing is silence. Where blocks overlap the
    earlier one counts. In containers whose clock may break, as in damaged ones, a step of more than
    `JUMP_S` is taken out, as `indexer.clock` does for pictures.
    """

    def __init__(self, rate: int, start_s: float, may_jump: bool) -> None:
        """
        Arguments:
            rate: samples per second in Hz of all blocks.
            start_s: the time of the first sample that counts, in the same seconds as the blocks'.
            may_jump: whether the container's clock is known to break (transport streams).
        """
        self._rate = rate
        self._zero_s = start_s
        self._may_jump = may_jump
        self._position = 0
        """Samples handed out so far."""

    def push(self, sound: Sound) -> Iterator[NDArray[np.float32]]:
        """The next samples of the run, in pieces of bounded length."""
        offset_s = self._offset_s(sound.time_s)
        if offset_s > 0:
            yield from self._silence(round(offset_s * self._rate))
        late = min(len(sound.samples), max(0, round(-offset_s * self._rate)))
        samples = sound.samples[late:]
        self._position += len(samples)
        if len(samples):
            yield samples

    def _offset_s(self, time_s: float | None) -> float:
        """Seconds from the end of the run to the next block; negative where they overlap."""
        if time_s is None:
            return 0.0
        expected_s = self._zero_s + self._position / self._rate
        offset_s = time_s - expected_s
        if self._position == 0:  # a track may begin well before or after the picture
            return offset_s if abs(offset_s) < _LONGEST_GAP_S else 0.0
        if abs(offset_s) < _TOLERANCE_S:
            return 0.0
        backwards_too_far = offset_s < -JUMP_S
        forwards_too_far = offset_s > (JUMP_S if self._may_jump else _LONGEST_GAP_S)
        if backwards_too_far or forwards_too_far:
            self._zero_s += offset_s
            return 0.0
        return offset_s

    def _silence(self, samples: int) -> Iterator[NDArray[np.float32]]:
        while samples > 0:
            block = min(samples, round(_SILENCE_BLOCK_S * self._rate))
            self._position += block
            samples -= block
            yield np.zeros(block, dtype=np.float32)
