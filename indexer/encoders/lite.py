"""The picture tower of an ONNX bundle, by default the shipped `lite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from storage.bundles import Bundle
from storage.records import EncoderStamp

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]


class LiteImageEncoder:
    """EfficientNet-Lite2 with a projection into the space shared with sentences.

    One thread: the decoder's threads keep the other cores busy, and a second thread here would
    only take turns with them.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Load the network.

        Raises:
            BundleError: a file of the bundle is damaged.
        """
        bundle.verify()
        self._tower = bundle.image
        self._stamp = bundle.stamp
        self._session = _session(bundle, threads=1)

    @property
    def stamp(self) -> EncoderStamp:
        return self._stamp

    @property
    def picture_size(self) -> tuple[int, int]:
        return self._tower.width, self._tower.height

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        (vectors,) = self._session.run([self._tower.output], {self._tower.input: pictures})
        return np.asarray(vectors, dtype=np.float32)


def _session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(bundle.image.file), options, providers=["CPUExecutionProvider"]
    )
