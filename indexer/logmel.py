"""Log-mel spectrograms as the PANNs networks were trained on.

The settings are those of audioset_tagging_cnn (`pytorch/main.py`, 32 kHz) and the arithmetic is
that of torchlibrosa's `Spectrogram` and `LogmelFilterBank`: power spectrogram, Slaney mel filters,
decibels with a floor. Kong et al., "PANNs", IEEE/ACM TASLP 2020, section IV-A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.sound import SAMPLE_RATE

if TYPE_CHECKING:
    import torch

FFT_SIZE = 1024
"""Samples of a frame, and of its window."""
HOP = 320
"""Samples from frame to frame: 10 ms."""
MEL_BINS = 64
LOWEST_HZ = 50
HIGHEST_HZ = 14_000
POWER_FLOOR = 1e-10
"""-100 dB: what silence has in every bin."""


def mel_filters() -> NDArray[np.float32]:
    """The triangles that sum FFT bins to mel bins, (64, 513): Slaney's scale and norm.

    Raises:
        ImportError: librosa is not installed.
    """
    from librosa.filters import mel

    return np.asarray(
        mel(sr=SAMPLE_RATE, n_fft=FFT_SIZE, n_mels=MEL_BINS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ),
        dtype=np.float32,
    )


def hann_window() -> NDArray[np.float64]:
    """The window of a frame, (1024,): periodic Hann."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SIZE) / FFT_SIZE)


class LogMel:
    """The front end of a network: waveforms in, log-mel spectrograms out."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Compute window and filters; needs torch and librosa.

        Raises:
            ImportError: one of them is not installed.
        """
        import torch

        self._window = torch.from_numpy(hann_window()).to(device)
        self._filters = torch.from_numpy(mel_filters().T.copy()).to(device)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Spectrograms of waveforms that lie on the device of this front end.

        Args:
            waveforms: (n, samples) float32 at 32 kHz, more than 512 samples each; each is padded
                by its own reflection, so that neighbours do not matter.

        Returns:
            (n, 1 + samples // 320, 64) float32, in dB; -100 and up.
        """
        import torch

        # In float32, rounding inside the transform would be heard 100 dB below the loudest bin.
        spectrum = torch.stft(
            waveforms.double(),
            n_fft=FFT_SIZE,
            hop_length=HOP,
            window=self._window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        power = (spectrum.real.square() + spectrum.imag.square()).float().transpose(1, 2)
        return 10.0 * torch.log10((power @ self._filters).clamp(min=POWER_FLOOR))
