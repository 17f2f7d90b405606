"""The picture tower of CLIP and its relatives, run by torch through transformers.

What the network does with pictures is in `indexer.encoders.clip_network`, which imports torch and
is therefore imported only when weights are loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from storage.bundles import EncoderBundle
from storage.errors import BundleError, not_installed
from storage.records import EncoderStamp

if TYPE_CHECKING:
    from indexer.encoders.clip_network import ClipNetwork

PRECISIONS = ("auto", "float32", "bfloat16", "float16")

BATCH_SIZE = 60
"""As in QD-DETR's run_on_video (feature_extractor.py)."""

Pictures = NDArray[np.uint8]
Vectors = NDArray[np.float32]


class ClipImageEncoder:
    """A picture tower in a Hugging Face folder."""

    def __init__(
        self, bundle: EncoderBundle, precision: str = "auto", batch_size: int = BATCH_SIZE
    ) -> None:
        """
        Arguments:
            precision: one of PRECISIONS. "auto" is float16 on a CUDA device, bfloat16 on a CPU
                that multiplies it, float32 on others.
            batch_size: pictures that run through the network at once; halved for good where so
                many do not fit in memory.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        self._bundle = bundle
        self._precision = precision
        self._batch_size = batch_size
        self._network: ClipNetwork | None = None

    @property
    def stamp(self) -> EncoderStamp:
        return self._bundle.stamp

    @property
    def picture_size(self) -> tuple[int, int]:
        return self._bundle.image.width, self._bundle.image.height

    @property
    def fit(self) -> str:
        return self._bundle.fit

    @property
    def batch_size(self) -> int:
        return self._batch_size

    def load(self) -> None:
        if self._network is not None:
            return
        try:
            from indexer.encoders.clip_network import ClipNetwork
        except ImportError as error:
            name = self._bundle.manifest.name
            raise not_installed(f"index with {name!r}", str(error.name), "clip") from error
        self._bundle.manifest.verify()
        self._network = ClipNetwork(self._bundle, self._precision)

    def encode(self, pictures: Pictures) -> Vectors:
        self.load()
        assert self._network is not None
        vectors, self._batch_size = in_batches(self._network.encode, pictures, self._batch_size)
        return vectors


def in_batches(
    encode: Callable[[Pictures], Vectors], pictures: Pictures, batch_size: int
) -> tuple[Vectors, int]:
    """Encode any number of pictures, in smaller batches where memory is short.

    Arguments:
        encode: raises torch's OutOfMemoryError, or the RuntimeError of its allocator for the CPU.
        batch_size: to begin with.

    Returns:
        The vectors, and the batch size that fitted in memory.
    """
    parts: list[Vectors] = []
    done = 0
    while done < len(pictures):
        batch = pictures[done : done + batch_size]
        try:
            parts.append(encode(batch))
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise BundleError(
                    "There is not enough memory to encode a single picture: choose a smaller "
                    "encoder, or set CUDA_VISIBLE_DEVICES to nothing so that the processor does it."
                ) from error
            batch_size = len(batch) // 2
        else:
            done += len(batch)
    return np.concatenate(parts), batch_size


def _is_out_of_memory(error: RuntimeError) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "not enough memory" in str(error)
