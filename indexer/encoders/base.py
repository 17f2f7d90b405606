"""The protocol that every picture tower follows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.records import EncoderStamp


class ImageEncoder(Protocol):
    """Turns pictures into vectors of the space that it shares with its text tower."""

    @property
    def stamp(self) -> EncoderStamp:
        """What the archive remembers of this encoder."""

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height of the pictures that `encode` takes."""

    @property
    def fit(self) -> str:
        """How a film's picture is brought to that size: one of `storage.bundles.FITS`."""

    @property
    def batch_size(self) -> int:
        """How many pictures are best given to `encode` at once; it takes any number."""

    def load(self) -> None:
        """Load the weights, unless they are; called in the thread that will encode.

        Raises:
            BundleError: a file is damaged, or what runs the network is not installed.
        """

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode upright RGB pictures, (n, height, width, 3), into (n, dim) of unit length.

        Raises:
            BundleError: the network does not give vectors as its manifest says.
        """
