"""The set of everyday sounds: its table, its waves, and their spectra.

The folder's layout is described in its README: `metadata.jsonl.gz`, and uncompressed tar files of
Ogg Opus. Any folder of that layout will do.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.logmel import MEL_BINS, LogMel
from indexer.sound import SAMPLE_RATE

METADATA = "metadata.jsonl.gz"
SHORTEST = 1_200
"""Samples. Shorter sounds are filled up with silence: a spectrum needs more than half a frame."""


@dataclass(frozen=True)
class Sound:
    """One sound of the set."""

    key: str
    shard: str
    file: str
    split: str
    """"train", "val" or "test": all parts of one recording are in one."""
    labels: tuple[str, ...]
    """The first is the precise one; the others are wider and hold as well."""
    sentences: tuple[str, ...]
    source: str
    recording: str
    licence: str
    """Terms as stated, and the author where known."""

    @property
    def label(self) -> str:
        """The precise label."""
        return self.labels[0]


def read_table(folder: Path) -> list[Sound]:
    """All sounds of a folder, in the order of its table."""
    names = ("key", "shard", "file", "split", "source", "recording", "licence")
    with gzip.open(folder / METADATA, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Sound(
            **{name: row[name] for name in names},
            labels=tuple(row["labels"]),
            sentences=tuple(row["sentences"]),
        )
        for row in rows
    ]


def read_waves(folder: Path, sounds: Sequence[Sound]) -> Iterator[NDArray[np.float32]]:
    """Each sound, mono at 32 kHz, -1…1, as long as it is but at least SHORTEST samples."""
    import soundfile  # type: ignore[import-untyped]
    import soxr

    tars: dict[str, tarfile.TarFile] = {}
    with ExitStack() as opened:
        for sound in sounds:
            if sound.shard not in tars:
                tars[sound.shard] = opened.enter_context(tarfile.open(folder / sound.shard))
            member = tars[sound.shard].extractfile(sound.file)
            assert member is not None, f"{sound.file} is no file"
            wave, rate = soundfile.read(io.BytesIO(member.read()), dtype="float32")
            wave = soxr.resample(wave, rate, SAMPLE_RATE).astype(np.float32)
            yield np.pad(wave, (0, max(0, SHORTEST - len(wave))))


def spectra(folder: Path, sounds: Sequence[Sound], cache: Path) -> list[NDArray[np.float16]]:
    """The log-mel spectrum of each whole sound, (frames, 64) in dB, a frame every 10 ms.

    Kept in `cache` under a digest of the table, as one file of frames and one of lengths.
    """
    keys = json.dumps([sound.key for sound in sounds]).encode()
    name = hashlib.sha256((folder / METADATA).read_bytes() + keys).hexdigest()[:16]
    frames_file, lengths_file = cache / f"mel-{name}.f16", cache / f"mel-{name}.json"
    if not lengths_file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        lengths = []
        front = LogMel()
        with frames_file.open("wb") as target:
            for wave in read_waves(folder, sounds):
                decibels = front(torch.from_numpy(wave)[None])[0].numpy().astype(np.float16)
                lengths.append(len(decibels))
                decibels.tofile(target)
        lengths_file.write_text(json.dumps(lengths))
    frames = np.fromfile(frames_file, np.float16).reshape(-1, MEL_BINS)
    return np.split(frames, np.cumsum(json.loads(lengths_file.read_text()))[:-1])


def narrow_labels(sounds: Sequence[Sound]) -> list[str]:
    """The precise labels, by name."""
    return sorted({sound.label for sound in sounds})


def wide_labels(sounds: Sequence[Sound]) -> list[str]:
    """Labels that are nowhere the precise one, by name."""
    every = {label for sound in sounds for label in sound.labels}
    return sorted(every - set(narrow_labels(sounds)))
