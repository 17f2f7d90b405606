"""The sound tower of an ONNX bundle, by default the shipped `lite-sound`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer import sound
from storage.bundles import SoundBundle
from storage.errors import BundleError
from storage.records import SoundStamp

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]


class LiteSoundEncoder:
    """A small log-mel network whose vectors share a space with sentences, and name nothing.

    One thread, as the picture tower: the decoder's threads keep the other cores busy.
    """

    sample_rate = sound.SAMPLE_RATE
    window_samples = sound.WINDOW_SAMPLES
    batch_size = 8
    """Windows at a time; more are no faster, and take more room for their spectra."""

    def __init__(self, bundle: SoundBundle) -> None:
        """Note where the graph lies."""
        self._bundle = bundle
        self._session: onnxruntime.InferenceSession | None = None

    @property
    def stamp(self) -> SoundStamp:
        """What the archive remembers of this encoder."""
        return self._bundle.stamp

    def load(self) -> None:
        """Load the weights, unless they are; called in the thread that will encode.

        Raises:
            BundleError: a file is damaged.
        """
        if self._session is None:
            self._bundle.manifest.verify()
            self._session = _session(self._bundle)

    def encode(
        self, windows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of unit length, and no tags.

        Args:
            windows: (n, 64000) float32, mono at 32 kHz, -1…1.

        Returns:
            (n, dim) and (n, 0).

        Raises:
            BundleError: as `load`.
        """
        self.load()
        assert self._session is not None
        vectors = [np.zeros((0, self._bundle.dim), np.float32)]
        for start in range(0, len(windows), self.batch_size):
            batch = np.ascontiguousarray(windows[start : start + self.batch_size], np.float32)
            vectors += self._session.run([self._bundle.output], {self._bundle.input: batch})
        return np.concatenate(vectors), np.zeros((len(windows), 0), np.float32)


def _session(bundle: SoundBundle) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(bundle.weights), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the library raises bare Exception subclasses
        raise BundleError(
            f"The sound network of the bundle {bundle.manifest.name!r} cannot be loaded "
            f"({error}): install reelseek again."
        ) from error
