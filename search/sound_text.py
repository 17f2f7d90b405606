"""Sentences in the space of a sound tower: what a query sounds like, and how sure a cosine is.

A tower with words of its own (`lite-sound`) was trained with the text tower of one encoder. Where
the archive's pictures come from that encoder, the query is encoded once for both; where they come
from another, that text tower is loaded for the sound alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.graph import open_graph
from search.text.base import EncodedQuery, TextEncoder
from search.text.choice import text_encoder
from storage.bundles import (
    EncoderBundle,
    SoundBundle,
    SoundCalibration,
    SoundWords,
    load_encoder,
    load_stamped_sound,
)
from storage.errors import BundleError, EncoderMismatch
from storage.records import SoundStamp


class SoundText:
    """The text side of one sound tower, with its calibration."""

    def __init__(self, bundle: SoundBundle, reader: TextEncoder | None) -> None:
        """Load the small network and the bank.

        Arguments:
            bundle: of a tower that has words.
            reader: encodes the query again, with the text tower that the words were trained with;
                None where the queries that come were made by that tower already.

        Raises:
            BundleError: a file of the bundle cannot be loaded.
        """
        assert bundle.words is not None and bundle.calibration is not None
        self.stamp: SoundStamp = bundle.stamp
        """Of the archive whose sound it reads."""
        self._words = bundle.words
        self._network = _network(bundle.manifest.name, bundle.words)
        self._calibration = bundle.calibration
        self._bank = _bank(bundle.calibration, bundle.dim)
        self._reader = reader

    def encode(self, query: EncodedQuery) -> NDArray[np.float32]:
        """The query among sounds: (dim,), unit length.

        Raises:
            QueryError: it is longer than the text tower of the sound reads.
        """
        if self._reader is not None:
            query = self._reader.encode(query.text)
        assert query.sentence is not None, "the text tower that was chosen gives it"
        (vectors,) = self._network.run(
            [self._words.output], {self._words.input: query.sentence[None].astype(np.float32)}
        )
        return np.asarray(vectors[0], dtype=np.float32)

    def probability(
        self, cosines: NDArray[np.float32], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """How probable it is that a clip sounds as the query says.

        Args:
            cosines: of clips' sound vectors and the query, any shape.
            query_vector: (dim,) of `encode`.

        Returns:
            In the shape of `cosines`, 0 to 1; calibrated on single sounds laid under others, see
            the model card.
        """
        weights = self._calibration
        near = np.sort(self._bank @ query_vector)
        offset = (
            weights.bias
            + weights.bank_mean * float(near.mean())
            + weights.bank_nearest * float(near[-weights.nearest :].mean())
        )
        odds = weights.cosine * cosines.astype(np.float32) + np.float32(offset)
        return np.asarray(1.0 / (1.0 + np.exp(-odds)), dtype=np.float32)


def sound_text(stamp: SoundStamp, encoder: EncoderBundle) -> SoundText | None:
    """The text side of the sound tower that made an archive; None for one that names sounds (tags).

    Arguments:
        stamp: of the archive's sound tower.
        encoder: of the archive's pictures, which encodes the queries.

    Raises:
        BundleError: the sound tower is not here or damaged, or the text tower that it was trained
            with is not here.
        EncoderMismatch: the tower of that name has other weights than those that made the archive.
    """
    if stamp.tags:
        return None
    bundle = load_stamped_sound(stamp)
    if bundle.words is None:
        return None
    if bundle.stamp != stamp:
        raise EncoderMismatch(
            f"The sound of the archive was encoded with {stamp.encoder_id} "
            f"({stamp.fingerprint[:8]}), and the model of that name here is another one "
            f"({bundle.stamp.fingerprint[:8]}): bring the weights that made the archive under that "
            "name, or index into a new --db."
        )
    if _reads(encoder, bundle.words):
        return SoundText(bundle, None)
    own = load_encoder(bundle.words.encoder)
    if not _reads(own, bundle.words):
        raise BundleError(
            f"The sound tower {bundle.manifest.name!r} was trained with another text tower than "
            f"that of the encoder {bundle.words.encoder!r} that is here: install both of the same "
            "version."
        )
    return SoundText(bundle, text_encoder(own))


def _reads(encoder: EncoderBundle, words: SoundWords) -> bool:
    """Whether an encoder's text tower is the one that the words were trained with."""
    checksum = encoder.manifest.checksums.get(encoder.text.file.name)
    return encoder.text.sentence is not None and checksum == words.text_sha256


def _network(name: str, words: SoundWords) -> Any:
    try:
        return open_graph(words.file, threads=1)
    except Exception as error:  # the library raises bare Exception subclasses
        raise BundleError(
            f"The words of the sound tower {name!r} cannot be loaded ({error}): install reelseek "
            "again."
        ) from error


def _bank(calibration: SoundCalibration, dim: int) -> NDArray[np.float32]:
    try:
        rows = np.fromfile(calibration.bank, dtype="<f2").reshape(-1, dim)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{calibration.bank} cannot be read ({error}): install reelseek again."
        ) from error
    if len(rows) < calibration.nearest:
        raise BundleError(f"{calibration.bank} holds too few sounds: install reelseek again.")
    return rows.astype(np.float32)
