"""What a film does to a sound, done to batches of power spectra.

All of it happens on mel power (frames of 10 ms, 64 bins): powers of unrelated sounds add up, so a
dog over a street is a sum; a room is a decay in every bin; a narrow recording lacks its upper bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from indexer.logmel import MEL_BINS, POWER_FLOOR

FRAMES_PER_S = 100

_CUT_BINS = (49, 56)
"""Bins that begin at about 8 and 11 kHz: where telephone-like and old digital recordings end."""


@dataclass(frozen=True)
class Augmentation:
    """How often, and how much."""

    mixed: float = 0.7
    """Share of windows with a second sound in them."""
    background: float = 0.6
    """Share of those in which the second one is background, up to `background_db` weaker."""
    background_db: float = 15.0
    reverberant: float = 0.2
    noisy: float = 0.4
    cut: float = 0.5
    """Share of windows whose upper bins are empty, half of these from one of the usual limits."""
    gain_db: float = 12.0
    slope_db: float = 9.0
    """From the lowest bin to the highest, either way."""
    frequency_mask: int = 9
    """Bins, at most, twice."""
    time_mask_s: float = 0.4
    """At most, twice."""
    nothing: float = 0.06
    """Share of windows in which nothing is heard but noise, hum or silence."""


def power(decibels: Tensor) -> Tensor:
    """Mel power of dB."""
    return 10.0 ** (decibels / 10.0)


def decibels(powers: Tensor) -> Tensor:
    """dB of mel power, with the front end's floor."""
    return 10.0 * torch.log10(powers.clamp(min=POWER_FLOOR))


class Augmenter:
    """Draws and applies augmentations; one random stream, so a seed says all."""

    def __init__(self, settings: Augmentation, generator: torch.Generator) -> None:
        self._settings = settings
        self._random = generator

    def __call__(self, windows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            windows: (n, frames, 64) dB.
            targets: (n, labels) 0 or 1.

        Returns:
            (n, frames, 64) dB; and (n, labels), how much of each label is in it, 0 to 1. A row of
            zeros holds nothing that has a name.
        """
        settings = self._settings
        powers = power(windows)
        powers = self._reverberate(powers)
        powers, targets = self._mix(powers, targets)
        powers, targets = self._empty(powers, targets)
        powers = powers * power(self._tilt(len(powers)))
        powers = self._add_noise(powers)
        powers = self._cut(powers)
        gain = self._uniform(len(powers), 1, 1) * 2 - 1
        result = decibels(powers * power(gain * settings.gain_db))
        return self._mask(result), targets

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._random)

    def _chosen(self, count: int, share: float) -> Tensor:
        return self._uniform(count) < share

    def _reverberate(self, powers: Tensor) -> Tensor:
        """Some windows in a room: 0.2 to 1.2 s until the sound has fallen by 60 dB."""
        chosen = self._chosen(len(powers), self._settings.reverberant)
        if not chosen.any():
            return powers
        count, frames = int(chosen.sum()), powers.shape[1]
        fall_s = 0.2 + self._uniform(count, 1)
        time_s = torch.arange(frames) / FRAMES_PER_S
        decay = 10.0 ** (-6.0 * time_s / fall_s) * (0.02 + 0.1 * self._uniform(count, 1))
        decay[:, 0] = 1.0
        size = 2 * frames
        spectrum = (
            torch.fft.rfft(powers[chosen], size, dim=1) * torch.fft.rfft(decay, size)[..., None]
        )
        out = powers.clone()
        out[chosen] = torch.fft.irfft(spectrum, size, dim=1)[:, :frames].clamp(min=0.0)
        return out

    def _mix(self, powers: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """A second sound, at a level drawn for it: as loud (mixup), or as a background."""
        settings, count = self._settings, len(powers)
        partner = torch.randperm(count, generator=self._random)
        level = powers.mean(dim=(1, 2)).clamp(min=POWER_FLOOR)
        as_background = self._chosen(count, settings.background)
        below_db = torch.where(
            as_background,
            self._uniform(count) * settings.background_db,
            6.0 * torch.randn(count, generator=self._random).abs(),
        )
        below_db[~self._chosen(count, settings.mixed)] = math.inf
        factor = level / level[partner] * power(-below_db)
        mixed = powers + powers[partner] * factor[:, None, None]
        # How loud it is against the first decides how far the second one counts as heard.
        heard = torch.sigmoid((8.0 - below_db) / 2.5) * (below_db < math.inf)
        return mixed, torch.maximum(targets, targets[partner] * heard[:, None])

    def _empty(self, powers: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Some windows hold nothing: noise of any colour, hum, or silence."""
        chosen = self._chosen(len(powers), self._settings.nothing)
        if chosen.any():
            powers, targets = powers.clone(), targets.clone()
            powers[chosen] = self._nothing(int(chosen.sum()), powers.shape[1])
            targets[chosen] = 0.0
        return powers, targets

    def _nothing(self, count: int, frames: int) -> Tensor:
        level = power(-100.0 + 90.0 * self._uniform(count, 1, 1))
        colour = power(60.0 * (self._uniform(count, 1, 1) - 0.7) * torch.linspace(0, 1, MEL_BINS))
        swell = power(6.0 * self._smooth(count, frames))
        noise = level * colour * swell * self._flutter(count, frames)
        hum = torch.zeros(count, 1, MEL_BINS)
        hum.scatter_(2, torch.randint(MEL_BINS, (count, 1, 3), generator=self._random), 1.0)
        hum = hum * level * 30.0 * (self._uniform(count, 1, 1) < 0.3)
        silent = self._uniform(count, 1, 1) < 0.15
        return torch.where(silent, torch.full_like(noise, POWER_FLOOR), noise + hum)

    def _smooth(self, count: int, frames: int) -> Tensor:
        """Slow random curves, (count, frames, 1), about -1…1."""
        points = torch.randn(count, 1, 5, generator=self._random)
        curve = functional.interpolate(points, size=frames, mode="linear", align_corners=True)
        return curve.transpose(1, 2) / 2

    def _flutter(self, count: int, frames: int) -> Tensor:
        """How the power of noise flutters from frame to frame: chi-squared, about 8 degrees."""
        return torch.randn(4, count, frames, MEL_BINS, generator=self._random).square().mean(dim=0)

    def _tilt(self, count: int) -> Tensor:
        """The response of a microphone, (count, 1, 64) dB: a slope and a bump or two."""
        line = torch.linspace(-0.5, 0.5, MEL_BINS)
        slope = (self._uniform(count, 1) * 2 - 1) * self._settings.slope_db * line
        bumps = self._smooth(count, MEL_BINS)[:, :, 0] * self._settings.slope_db / 3
        return (slope + bumps)[:, None]

    def _add_noise(self, powers: Tensor) -> Tensor:
        count, frames = powers.shape[:2]
        below_db = 15.0 + 45.0 * self._uniform(count, 1, 1)
        level = powers.mean(dim=(1, 2), keepdim=True) * power(-below_db)
        colour = power(40.0 * (self._uniform(count, 1, 1) - 0.7) * torch.linspace(0, 1, MEL_BINS))
        noise = level * colour * self._flutter(count, frames)
        chosen = self._chosen(count, self._settings.noisy)
        return powers + noise * chosen[:, None, None]

    def _cut(self, powers: Tensor) -> Tensor:
        count = len(powers)
        anywhere = torch.randint(32, MEL_BINS, (count,), generator=self._random)
        usual = torch.tensor(_CUT_BINS)[
            torch.randint(len(_CUT_BINS), (count,), generator=self._random)
        ]
        limit = torch.where(self._chosen(count, 0.5), usual, anywhere)
        limit[~self._chosen(count, self._settings.cut)] = MEL_BINS
        return powers * (torch.arange(MEL_BINS) < limit[:, None])[:, None]

    def _mask(self, windows: Tensor) -> Tensor:
        """Two bands and two stretches of each window are made quiet (SpecAugment)."""
        count, frames, bins = windows.shape
        quiet = windows.mean(dim=(1, 2), keepdim=True) - 10.0
        for axis, size, longest in (
            (2, bins, self._settings.frequency_mask),
            (1, frames, round(self._settings.time_mask_s * FRAMES_PER_S)),
        ):
            for _ in range(2):
                width = (self._uniform(count) * (longest + 1)).long()
                start = (self._uniform(count) * (size - width)).long()
                place = torch.arange(size)
                inside = (place >= start[:, None]) & (place < (start + width)[:, None])
                windows = torch.where(inside.unsqueeze(3 - axis), quiet, windows)
        return windows
