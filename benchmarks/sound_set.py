"""The test sounds put to a sound tower whose vectors share a space with sentences.

Reads a folder laid out as `../shared/sounds` (metadata.jsonl.gz and tar shards of Opus files).
Sounds are decoded, resampled and cut into windows of 2 s by the indexer's own code; a sound is the
mean of its windows. One shorter than a window, which an indexed film would hold together with
what comes after it, is filled up with silence.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Skipped
from benchmarks.measures import sounds as measures
from benchmarks.measures.bootstrap import Figure
from indexer.audio import SoundDecoder, sound_stream
from indexer.encoders.choice import sound_encoder
from indexer.listening import SoundEncoder
from indexer.sound import WINDOW_SAMPLES, Resampler
from search.sound_text import SoundText, sound_text
from search.text.base import TextEncoder
from storage.bundles import EncoderBundle, SoundBundle, load_sound
from storage.errors import ReelseekError

Vectors = NDArray[np.float32]

DEFAULT_TOWER = "lite-sound"
OVERLAPPING = WINDOW_SAMPLES // 4
"""Samples from one overlapping window to the next: half a second."""


@dataclass(frozen=True)
class LabelledSound:
    """One row of the table."""

    shard: str
    file: str
    label: str
    """The first and most precise of its labels."""


def test_sounds(folder: Path, most: int | None) -> list[LabelledSound]:
    """The test split, or its first `most` sounds.

    Raises:
        Skipped: there is no such folder.
    """
    table = folder / "metadata.jsonl.gz"
    if not table.exists():
        raise Skipped("There is no metadata.jsonl.gz of sounds: name their folder with --sounds.")
    with gzip.open(table, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    test = [row for row in rows if row["split"] == "test"]
    return [LabelledSound(row["shard"], row["file"], row["labels"][0]) for row in test[:most]]


def tower(name: str, encoder: EncoderBundle) -> tuple[SoundBundle, SoundText]:
    """A sound tower with its words.

    Raises:
        Skipped: it is not here, or only names sounds (tags).
    """
    try:
        bundle = load_sound(name)
        words = sound_text(bundle.stamp, encoder)
    except ReelseekError as error:
        raise Skipped(str(error)) from error
    if words is None:
        raise Skipped(f"The sound tower {name} has no words of its own, only tags.")
    return bundle, words


def figures(
    folder: Path,
    sounds: Sequence[LabelledSound],
    bundle: SoundBundle,
    words: SoundText,
    text: TextEncoder,
) -> dict[str, Figure]:
    """Text to sound recall and the label of each sound, by the words of the labels alone; and the
    same where windows overlap, so that nothing at the end of a sound is lost."""
    encoder = sound_encoder(bundle)
    encoder.load()
    labels = sorted({sound.label for sound in sounds})
    own = np.array([labels.index(sound.label) for sound in sounds])
    queries = np.stack([words.encode(text.encode(label)) for label in labels])
    back_to_back, overlapping = encode_sounds(folder, sounds, encoder)
    found = measures.retrieval(back_to_back, queries, own)
    found |= measures.naming(back_to_back, queries, own)
    closer = measures.retrieval(overlapping, queries, own)
    closer |= measures.naming(overlapping, queries, own)
    return found | {f"{name}, overlapping windows": figure for name, figure in closer.items()}


def encode_sounds(
    folder: Path, sounds: Sequence[LabelledSound], encoder: SoundEncoder
) -> tuple[Vectors, Vectors]:
    """Twice (sounds, dim), unit length, the mean over each sound's windows: back to back as
    indexing cuts them, and one each half second."""
    place = {sound.file: number for number, sound in enumerate(sounds)}
    shape = (len(sounds), encoder.stamp.dim)
    back_to_back, overlapping = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for shard in sorted({sound.shard for sound in sounds}):
        with tarfile.open(folder / shard) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name in place else None
                if stream is None:
                    continue
                vectors, _ = encoder.encode(
                    windows(wave_of(io.BytesIO(stream.read())), OVERLAPPING)
                )
                row = place[member.name]
                overlapping[row] = _mean(vectors)
                back_to_back[row] = _mean(vectors[:: WINDOW_SAMPLES // OVERLAPPING])
    return back_to_back, overlapping


def windows(wave: NDArray[np.float32], step: int = WINDOW_SAMPLES) -> NDArray[np.float32]:
    """(n, 64000): the whole windows of 2 s that begin every `step` samples of (samples,), 32 kHz;
    a shorter sound is filled up with silence, so n ≥ 1."""
    whole = np.pad(wave, (0, max(0, WINDOW_SAMPLES - len(wave))))
    return np.lib.stride_tricks.sliding_window_view(whole, WINDOW_SAMPLES)[::step]


def wave_of(file: IO[bytes]) -> NDArray[np.float32]:
    """(samples,), mono at 32 kHz: the sound of a file, as indexing decodes it."""
    resampler: Resampler | None = None
    parts = []
    for rate, samples in _blocks(file):
        if resampler is None:
            resampler = Resampler(rate)
        parts.append(resampler.push(samples))
    if resampler is None:
        return np.zeros(0, np.float32)
    return np.concatenate([*parts, resampler.finish()])


def _mean(vectors: Vectors) -> Vectors:
    """(dim,), unit length, of (n, dim), n ≥ 1."""
    mean: Vectors = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length else mean


def _blocks(file: IO[bytes]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Samples per second and mono samples, (n,), of each block of a sound file."""
    with av.open(file, "r") as container:
        stream = sound_stream(container)
        if stream is None:
            return
        decoder = SoundDecoder(stream)
        for packet in container.demux(stream):
            for sound in decoder.decode(packet):
                yield sound.rate, sound.samples
