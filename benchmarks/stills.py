"""Pictures that are no films, as openai/CLIP prepares them: for benchmarks on photos.

Needs Pillow, which only whoever has PIL images to give has installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.fit import still_crop

if TYPE_CHECKING:
    from PIL.Image import Image


def clip_picture(image: Image, n: int) -> NDArray[np.uint8]:
    """The n × n pixels that openai/CLIP's `_transform(n)` (clip.py) hands to its network.

    Pillow's bicubic, which looks at all pixels on the way down. Converted to RGB last, as there:
    a picture with a palette is scaled by nearest neighbour, what is transparent turns black.

    Returns:
        (n, n, 3) uint8, red first; /255, mean and standard deviation are the encoder's.
    """
    from PIL.Image import Resampling

    crop = still_crop(image.size, n)
    scaled = image.resize(crop.scaled, Resampling.BICUBIC)
    box = (crop.left, crop.top, crop.left + n, crop.top + n)
    return np.asarray(scaled.crop(box).convert("RGB"))
