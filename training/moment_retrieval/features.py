"""Feature files in the layout in which QD-DETR's were published.

``{vid}.npz["features"]`` per kind of picture feature, ``qid{qid}.npz["last_hidden_state"]`` for the
sentence, ``{vid}.npy`` for sound: one row per 2 s clip or token.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.moments.qd_detr_inputs import MAX_TOKENS, normalised_as_dataset, tef
from storage.records import SEGMENT_CLIPS
from training.moment_retrieval.annotations import Annotation
from training.moment_retrieval.errors import TrainingError

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Widths:
    """Numbers per row of the files, without the two of the position (TEF)."""

    video: tuple[int, ...]
    """One width per folder of picture features."""
    text: int
    sound: int
    """0 without sound."""


@dataclass(frozen=True)
class Features:
    """What the network sees of one annotation; every row finite."""

    video: Rows
    """(clips, sum of widths + 2): each folder's rows normalised by themselves, then the TEF."""
    text: Rows
    """(tokens, width), normalised."""
    sound: Rows | None
    """(clips, width + 2), normalised, then the TEF."""


@dataclass(frozen=True)
class FeatureFolders:
    """Where the features of a data set lie."""

    video: tuple[Path, ...]
    """Joined side by side in this order, e.g. SlowFast, then CLIP."""
    text: Path
    sound: Path | None = None
    max_tokens: int = MAX_TOKENS

    def files(self, annotation: Annotation) -> list[Path]:
        """Every file that belongs to an annotation."""
        return [*self._video_files(annotation), self._text_file(annotation)] + (
            [] if self.sound is None else [self._sound_file(annotation, self.sound)]
        )

    def check_complete(self, annotations: list[Annotation]) -> None:
        """Raise `TrainingError` with the first of the files that do not exist."""
        missing = [
            (file, annotation)
            for annotation in annotations
            for file in self.files(annotation)
            if not file.is_file()
        ]
        if missing:
            file, annotation = missing[0]
            more = f" ({len(missing) - 1} more are missing)" if len(missing) > 1 else ""
            raise TrainingError(
                f"{file} does not exist, but qid {annotation.qid} needs it{more}: put the feature "
                "files there, or name the folder that holds them."
            )

    def widths(self, annotation: Annotation) -> Widths:
        """The widths of an annotation's files."""
        video = [read_npz(file, "features") for file in self._video_files(annotation)]
        text = read_npz(self._text_file(annotation), "last_hidden_state")
        sound = None if self.sound is None else read_npy(self._sound_file(annotation, self.sound))
        return Widths(
            tuple(rows.shape[1] for rows in video),
            text.shape[1],
            0 if sound is None else sound.shape[1],
        )

    def read(self, annotation: Annotation, widths: Widths) -> Features:
        """The features of an annotation; raises `TrainingError` if its files do not fit."""
        rows = [read_npz(file, "features") for file in self._video_files(annotation)]
        text = read_npz(self._text_file(annotation), "last_hidden_state")
        sound = None if self.sound is None else read_npy(self._sound_file(annotation, self.sound))
        self._check_widths(annotation, rows, text, sound, widths)

        # All kinds of one video are cut to the shortest of them; clips pair up by number.
        clips = min(
            SEGMENT_CLIPS, *(len(part) for part in rows), *([] if sound is None else [len(sound)])
        )
        position = tef(clips)
        video = [normalised_as_dataset(part[:clips]) for part in rows]
        return Features(
            np.concatenate([*video, position], axis=1),
            normalised_as_dataset(text[: self.max_tokens]),
            None
            if sound is None
            else np.concatenate([normalised_as_dataset(sound[:clips]), position], axis=1),
        )

    def _check_widths(
        self,
        annotation: Annotation,
        video: list[Rows],
        text: Rows,
        sound: Rows | None,
        widths: Widths,
    ) -> None:
        parts = [*video, text] + ([] if sound is None else [sound])
        wanted = [*widths.video, widths.text, widths.sound]
        for file, rows, width in zip(self.files(annotation), parts, wanted, strict=False):
            if rows.shape[1] != width:
                raise TrainingError(
                    f"{file} (qid {annotation.qid}) holds {rows.shape[1]} numbers per row, but "
                    f"{width} were expected: it comes from another network than the rest."
                )

    def _video_files(self, annotation: Annotation) -> list[Path]:
        return [folder / f"{annotation.vid}.npz" for folder in self.video]

    def _text_file(self, annotation: Annotation) -> Path:
        return self.text / f"qid{annotation.qid}.npz"

    def _sound_file(self, annotation: Annotation, folder: Path) -> Path:
        return folder / f"{annotation.vid}.npy"


def read_npz(file: Path, name: str) -> Rows:
    """The array ``name`` of an .npz as (rows, width) float32."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if name not in arrays.files:
                raise TrainingError(
                    f"{file} holds no array {name!r}, only {', '.join(arrays.files) or 'nothing'}."
                )
            return _rows(arrays[name], file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(file, error) from error


def read_npy(file: Path) -> Rows:
    """The array of an .npy as (rows, width) float32."""
    try:
        return _rows(np.load(file, allow_pickle=False), file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(file, error) from error


def _rows(array: NDArray[np.generic], file: Path) -> Rows:
    if array.ndim == 3 and len(array) == 1:  # published text features carry a batch axis at times
        array = array[0]
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise TrainingError(
            f"{file} should hold numbers, one row per clip or token, but holds {array.dtype} of "
            f"shape {array.shape}."
        )
    rows = array.astype(np.float32)
    if not np.isfinite(rows).all():
        raise TrainingError(f"{file} holds NaN or infinity: extract its features again.")
    return rows


def _unreadable(file: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{file} cannot be read ({error}): extract its features again.")
