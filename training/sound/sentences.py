"""Sentence vectors of an encoder bundle's text tower, for everything that is typed in training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.text.base import TextEncoder


class Sentences:
    """Encodes each text once; keeps what it knows in a file of the cache."""

    def __init__(self, encoder: TextEncoder, cache: Path) -> None:
        """A tower whose fingerprint names the file; other towers never meet an old one."""
        digest = hashlib.sha256(encoder.stamp.fingerprint.encode()).hexdigest()[:16]
        self._encoder = encoder
        self._file = cache / f"sentences-{digest}.npz"
        self._known: dict[str, NDArray[np.float32]] = {}
        if self._file.exists():
            with np.load(self._file) as kept:
                self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    def of(self, texts: Sequence[str]) -> Tensor:
        """(texts, width) float32 of unit length.

        Raises:
            ValueError: the text tower gives no sentence vectors.
        """
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        for text in fresh:
            vector = self._encoder.encode(text).sentence
            if vector is None:
                raise ValueError("the text tower of this encoder gives no sentence vectors")
            self._known[text] = vector
        if fresh:
            self._keep()
        return torch.from_numpy(np.stack([self._known[text] for text in texts]))

    def _keep(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._file.with_suffix(".partial.npz")
        np.savez(unfinished, texts=list(self._known), vectors=np.stack(list(self._known.values())))
        unfinished.replace(self._file)
