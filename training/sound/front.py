"""The front end as a part of the graph: waves to log-mel spectra, in sums that any runtime has.

The arithmetic is that of `indexer.logmel`: frames of 1024 samples every 320, periodic Hann window,
power, 64 Slaney mel bins from 50 to 14000 Hz, dB with a floor.

A real frame's transform needs its even part for the cosines and its odd part for the sines, which
halves both matrices; bins that no mel filter reads are left out. The matrices are worked out when
the graph is loaded: the file holds small whole numbers in their place.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from indexer.logmel import FFT_SIZE, HOP, POWER_FLOOR, hann_window, mel_filters

HALF = FFT_SIZE // 2

BLOCK = 64
"""Samples that are copied at once: frames begin at whole blocks, and are as long as sixteen."""


class FrontEnd(nn.Module):
    """(n, samples) float32 at 32 kHz to (n, 1 + samples // 320, 64) float32 in dB."""

    def __init__(self, samples: int) -> None:
        """For waves of so many samples: whole blocks, more than 512."""
        super().__init__()
        filters = mel_filters()
        (read,) = np.nonzero(filters.any(axis=0))
        bins = np.arange(read[0], read[-1] + 1)
        place = np.arange(1, HALF + 1)  # the window's sample 0 is 0, and 512 is its own mirror
        window = hann_window()[place]
        starts = HOP // BLOCK * np.arange(1 + samples // HOP)[:, None]
        self.blocks = torch.from_numpy((starts + np.arange(FFT_SIZE // BLOCK)).ravel())
        # Whole turns are left out, and the rounding of large angles with them.
        self.turns = torch.from_numpy(np.outer(place, bins) % FFT_SIZE)
        self.even = torch.from_numpy(np.where(place == HALF, window / 2, window).astype(np.float32))
        self.odd = torch.from_numpy(window.astype(np.float32))
        self.filters = torch.from_numpy(filters[:, bins].T.copy())

    def forward(self, waves: Tensor) -> Tensor:
        count = waves.shape[0]
        # In the padded wave sample 0 of frame 0 is sample 512 before the sound's own start.
        padded = functional.pad(waves[:, None], (HALF, HALF), mode="reflect")
        in_blocks = padded.reshape(count, -1, BLOCK)
        frames = in_blocks.index_select(1, self.blocks).reshape(count, -1, FFT_SIZE)
        ahead, behind = frames[:, :, 1 : HALF + 1], frames[:, :, HALF:].flip(2)
        angle = self.turns.float() * (2 * math.pi / FFT_SIZE)
        real = (ahead + behind) @ (angle.cos() * self.even[:, None])
        imaginary = (ahead - behind) @ (angle.sin() * self.odd[:, None])
        power = (real.square() + imaginary.square()) @ self.filters
        return 10.0 * torch.log10(power.clamp(min=POWER_FLOOR))
