"""What is heard of a sentence: how surely each clip of an archive holds the sound it speaks of.

An archive's sound tower either names what it hears (tags, as Cnn14 does: `hearing_tags`) or shares
a space with sentences (as `lite-sound` does: `hearing_space`). Both give the same: a probability
for each clip, and how far the sentence asks for a sound at all. How that is weighed against the
pictures is in `fusion`, what becomes a moment by sound alone in `hearing_runs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.text.base import EncodedQuery, TextEncoder
from storage.bundles import load_stamped_encoder
from storage.view import Snapshot


@dataclass(frozen=True, repr=False)
class Heard:
    """What is heard of one sentence."""

    evidence: NDArray[np.float32]
    """(clip rows,) P(the sentence's sound is heard in the clip), 0 to 1; 0 for a clip without sound
    and for one of a removed video."""
    asked: float
    """How far the sentence asks for a sound, 0 to 1: "applause" does, "a man in a red coat" does
    not."""
    chance: float
    """Mean evidence over the clips of the archive: what a clip drawn at random has."""
    part: Heard | None = None
    """The same for that part of the sentence that asks most for a sound: "a window shattering" of
    "a man on a ladder and a window shattering"; None where that is the whole sentence."""

    @property
    def told(self) -> Heard:
        """What tells moments of like pictures apart: the part, if there is one."""
        return self if self.part is None else self.part

    def __repr__(self) -> str:
        return f"Heard(clips={len(self.evidence)}, asked={self.asked:.2f})"


class Ears(Protocol):
    """The sound side of one archive."""

    def listen(self, snapshot: Snapshot, query: EncodedQuery) -> Heard | None:
        """What is heard of a sentence; None where it asks for nothing that could be heard.

        Raises:
            QueryError: the sentence is longer than the sound's text tower reads.
        """


def open_ears(snapshot: Snapshot, words: TextEncoder) -> Ears | None:
    """The ears that the sound stamp of an archive asks for; None where it keeps no sound.

    Args:
        words: the text tower of the archive's pictures.

    Raises:
        BundleError: the tower that made the sound's vectors is not here, or damaged.
        EncoderMismatch: the one of that name is another.
    """
    stamp = snapshot.sound_stamp
    if stamp is None:
        return None
    if stamp.tags:
        from search.hearing_tags import TagEars

        return TagEars()
    from search.hearing_asks import load_asks
    from search.hearing_space import SpaceEars
    from search.sound_text import sound_text

    encoder = load_stamped_encoder(snapshot.stamp)
    sentences = sound_text(stamp, encoder)
    if sentences is None:
        return None
    text_sha256 = encoder.manifest.checksums.get(encoder.text.file.name)
    return SpaceEars(sentences, words, load_asks(text_sha256))


def chance_of(evidence: NDArray[np.float32], snapshot: Snapshot) -> float:
    """Mean evidence of the clips that count; 0 in an empty archive."""
    clips = int(np.count_nonzero(snapshot.clip_alive))
    return float(evidence.sum(dtype=np.float64)) / clips if clips else 0.0
