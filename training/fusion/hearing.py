"""The sound side of the films: the tower that is measured, and who is asked what it hears."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.lite_sound import LiteSoundEncoder
from search.hearing_asks import Asks
from storage.bundles import SoundBundle
from training.fusion.asking import Wordings, cross_fitted
from training.fusion.questions import Question


def tower(bundle: SoundBundle) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Windows (n, 64000) to vectors (n, dim), as an archive keeps them."""
    encoder = LiteSoundEncoder(bundle)

    def encode(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return encoder.encode(windows)[0].astype(np.float16).astype(np.float32)

    return encode


def held_out(wordings: Wordings, asks: Asks, seed: int) -> Callable[[Question], Asks]:
    """For each question a regression that saw no wording of its label: without that, how far a
    sentence asks for sound would be surer here than it is in use.
    """
    without = cross_fitted(wordings, seed)

    def asks_of(question: Question) -> Asks:
        return asks if question.label is None else without.get(question.label, asks)

    return asks_of
