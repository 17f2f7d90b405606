"""The sizes of a Cnn14 network, and the tensors that follow from them; needs no torch.

Names and shapes are those of the official checkpoints (qiuqiangkong/audioset_tagging_cnn,
`pytorch/models.py`; Kong et al., "PANNs", IEEE/ACM TASLP 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.logmel import FFT_SIZE, MEL_BINS, mel_filters
from storage.tensor_names import Shape, differences

FRONT_END_SHAPES: dict[str, Shape] = {
    "spectrogram_extractor.stft.conv_real.weight": (FFT_SIZE // 2 + 1, 1, FFT_SIZE),
    "spectrogram_extractor.stft.conv_imag.weight": (FFT_SIZE // 2 + 1, 1, FFT_SIZE),
    "logmel_extractor.melW": (FFT_SIZE // 2 + 1, MEL_BINS),
}
"""Constants that official checkpoints carry; `indexer.logmel` computes them anew."""

MEL_KEY = "logmel_extractor.melW"

_MEL_TOLERANCE = 1e-6
"""Versions of librosa differ by 1e-9, other settings by 1e-3 and more."""


@dataclass(frozen=True)
class Cnn14Config:
    """Everything that a Cnn14 network is built from; the defaults are the published ones."""

    widths: tuple[int, int, int, int, int, int] = (64, 128, 256, 512, 1024, 2048)
    """Channels behind each of the six blocks."""
    embedding: int = 2048
    """Length of a window's vector."""
    classes: int = 527
    """How many kinds of sound it names."""

    def shapes(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the official state dict, front end left out."""
        return dict(self._named_shapes())

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Shape]) -> Cnn14Config:
        """Read the sizes off the tensors of a state dict.

        The three tensors of the front end and the batch counters may be there or not.

        Raises:
            ValueError: the tensors are not those of a Cnn14 network of any width; one sentence
                names those that are missing, surplus or of another shape.
        """

        def size(key: str, otherwise: int) -> int:
            shape = shapes.get(key, ())
            return shape[0] if shape else otherwise

        first, second, third, fourth, fifth, sixth = (
            size(f"conv_block{block}.conv1.weight", width)
            for block, width in enumerate(cls.widths, 1)
        )
        config = cls(
            widths=(first, second, third, fourth, fifth, sixth),
            embedding=size("fc1.weight", cls.embedding),
            classes=size("fc_audioset.weight", cls.classes),
        )
        wanted = config.shapes()
        # The front end is computed anew, and a counter serves training only.
        may_lack = {*FRONT_END_SHAPES, *(n for n in wanted if n.endswith(".num_batches_tracked"))}
        if faults := differences(shapes, {**wanted, **FRONT_END_SHAPES}, may_lack):
            raise ValueError(f"the tensors are not those of a Cnn14 network: {faults}")
        return config

    def _named_shapes(self) -> Iterator[tuple[str, Shape]]:
        yield from _batch_norm("bn0", MEL_BINS)
        inputs = 1
        for block, width in enumerate(self.widths, 1):
            prefix = f"conv_block{block}"
            yield f"{prefix}.conv1.weight", (width, inputs, 3, 3)
            yield f"{prefix}.conv2.weight", (width, width, 3, 3)
            yield from _batch_norm(f"{prefix}.bn1", width)
            yield from _batch_norm(f"{prefix}.bn2", width)
            inputs = width
        yield "fc1.weight", (self.embedding, inputs)
        yield "fc1.bias", (self.embedding,)
        yield "fc_audioset.weight", (self.classes, self.embedding)
        yield "fc_audioset.bias", (self.classes,)


def check_mel_filters(found: NDArray[np.float32]) -> None:
    """Compare the mel matrix of a checkpoint, (513, 64), with the one that we compute.

    It tells sample rate, mel scale and limits: a network trained on other ones would hear our
    spectrograms as something else.

    Raises:
        ValueError: they differ.
        ImportError: librosa is not installed.
    """
    ours = mel_filters().T
    if found.shape != ours.shape or not np.allclose(found, ours, rtol=0.0, atol=_MEL_TOLERANCE):
        raise ValueError(
            f"{MEL_KEY} is not the mel matrix for 32 kHz with 64 bins from 50 to 14000 Hz, so the "
            "network was trained on other spectrograms (the 16 kHz and 8 kHz models are)"
        )


def _batch_norm(prefix: str, width: int) -> Iterator[tuple[str, Shape]]:
    for statistic in ("weight", "bias", "running_mean", "running_var"):
        yield f"{prefix}.{statistic}", (width,)
    yield f"{prefix}.num_batches_tracked", ()
