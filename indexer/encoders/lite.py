"""The picture tower of an ONNX bundle, by default the shipped `lite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from storage.bundles import EncoderBundle
from storage.records import EncoderStamp

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]


class LiteImageEncoder:
    """EfficientNet-Lite2 with a projection into the space shared with sentences.

    One thread: the decoder's threads keep the other cores busy, and a second thread here would
    only take turns with them.
    """

    def __init__(self, bundle: EncoderBundle) -> None:
        self._bundle = bundle
        self._session: onnxruntime.InferenceSession | None = None

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
        return 8

    def load(self) -> None:
        if self._session is None:
            self._bundle.manifest.verify()
            self._session = _session(self._bundle)

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.load()
        assert self._session is not None
        tower = self._bundle.image
        (vectors,) = self._session.run([tower.output], {tower.input: pictures})
        return np.asarray(vectors, dtype=np.float32)


def _session(bundle: EncoderBundle) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(bundle.image.file), options, providers=["CPUExecutionProvider"]
    )
