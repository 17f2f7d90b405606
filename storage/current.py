"""`view/CURRENT`: the small file that says which generation of the view is in force.

Two lines: a JSON object, and the SHA-256 of the first line as a JSON string. It is only ever
replaced as a whole, so a reader sees one generation or the one before, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import encoding
from storage.encoding import BadRecord
from storage.errors import ArchiveDamaged
from storage.formats import check_format, stamps_from_json, stamps_to_json
from storage.records import EncoderStamp, SoundStamp

VIDEOS = "videos.jsonl"
CLIP_VECTORS = "clips.f16"
CLIP_TABLE = "clips.table"
SCENE_VECTORS = "scenes.f16"
SCENE_TABLE = "scenes.table"
SEGMENT_TABLE = "segments.table"
COLUMNS = (VIDEOS, CLIP_VECTORS, CLIP_TABLE, SCENE_VECTORS, SCENE_TABLE, SEGMENT_TABLE)

SOUND_VECTORS = "sounds.f16"
TAG_TABLE = "tags.table"
SOUND_COLUMNS = (SOUND_VECTORS, TAG_TABLE)
"""Only in archives that keep sound; their rows are those of CLIP_TABLE. TAG_TABLE is there only
where the sound tower names kinds of sound."""

CLIP_ROW = np.dtype([("video", "<u4"), ("start_s", "<f8"), ("end_s", "<f8")])
SCENE_ROW = np.dtype([("video", "<u4"), ("number", "<u4"), ("start_s", "<f8"), ("end_s", "<f8")])
SEGMENT_ROW = np.dtype(
    [("video", "<u4"), ("number", "<u4"), ("first_clip", "<u4"), ("clip_count", "<u4")]
)
TABLES = {CLIP_TABLE: CLIP_ROW, SCENE_TABLE: SCENE_ROW, SEGMENT_TABLE: SEGMENT_ROW}
"""What each search checks and uses whole, since a wrong number in it would lead astray."""

TAG = np.dtype([("label", "<u2"), ("probability", "<f2")])

TAGS_KEPT = 16
"""Tags of a clip that a search sees: 115 MB for 1,000 hours, where all 527 would be 1.9 GB. The
ledger has all of them."""


class BadView(Exception):
    """The view is not whole; a reader reports it, a writer rebuilds it from the ledger."""


@dataclass(frozen=True)
class Extent:
    """How much of a column counts. What lies behind is a leftover and means nothing."""

    size: int = 0
    """Bytes."""
    crc32: int = 0
    """CRC-32 of these bytes; it grows with the column, nothing is read again for it."""


@dataclass(frozen=True)
class IndexFile:
    """A FAISS file and the vectors it covers."""

    name: str
    """File name in the epoch's folder."""
    rows: int
    """It covers the first so many rows of the column."""
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Current:
    """One generation of the view."""

    generation: int
    """The generation of the ledger that this view shows."""
    epoch: str
    """Folder of the columns, e.g. "000001"."""
    stamp: EncoderStamp
    sound: SoundStamp | None
    columns: dict[str, Extent]
    clip_index: IndexFile | None = None
    scene_index: IndexFile | None = None

    def rows(self, column: str) -> int:
        """Rows of a table or of a column of vectors."""
        return self.columns[column].size // self.row_type(column).itemsize

    def row_type(self, column: str) -> np.dtype[Any]:
        """The numbers of a row; a row of vectors or tags is an array in itself."""
        if column in TABLES:
            return TABLES[column]
        if column in SOUND_COLUMNS:
            assert self.sound is not None, "no sound is kept here"
            if column == TAG_TABLE:
                return np.dtype((TAG, (min(TAGS_KEPT, self.sound.tags),)))
            return np.dtype((encoding.VECTOR, (self.sound.dim,)))
        return np.dtype((encoding.VECTOR, (self.stamp.dim,)))

    def index_names(self) -> set[str]:
        """Names of the FAISS files in use."""
        return {index.name for index in (self.clip_index, self.scene_index) if index}


def empty(generation: int, epoch: str, stamp: EncoderStamp, sound: SoundStamp | None) -> Current:
    """A generation without any rows: the start of an epoch."""
    columns = dict.fromkeys(column_names(sound), Extent())
    return Current(generation, epoch, stamp, sound, columns)


def column_names(sound: SoundStamp | None) -> tuple[str, ...]:
    """The columns of an epoch."""
    if sound is None:
        return COLUMNS
    return COLUMNS + (SOUND_COLUMNS if sound.tags else (SOUND_VECTORS,))


def most_likely(tags: NDArray[np.float16]) -> NDArray[np.void]:
    """Of (clips, tags) probabilities the rows of TAG_TABLE: (clips, at most TAGS_KEPT) of TAG.

    By falling probability, among equals by rising label, so that the result is always the same.
    """
    # The bits of halves that are not negative sort like the halves; the label goes behind them.
    labels = np.arange(tags.shape[1], dtype=np.uint32)
    ranks = np.abs(tags).view(np.uint16).astype(np.uint32) << 16 | (0xFFFF - labels)
    kept = min(TAGS_KEPT, tags.shape[1])
    ranks.partition(-kept, axis=1)
    best = np.sort(ranks[:, -kept:], axis=1)[:, ::-1]
    rows = np.empty(best.shape, TAG)
    rows["label"] = 0xFFFF - (best & 0xFFFF)
    rows["probability"] = (best >> 16).astype(np.uint16).view(np.float16)
    return rows


def encode(current: Current) -> bytes:
    """The bytes of CURRENT."""
    line = encoding.dump_json(
        {
            **stamps_to_json(current.stamp, current.sound),
            "generation": current.generation,
            "epoch": current.epoch,
            "columns": {name: vars(extent) for name, extent in current.columns.items()},
            "clip_index": current.clip_index and vars(current.clip_index),
            "scene_index": current.scene_index and vars(current.scene_index),
        }
    )
    return line + b"\n" + json.dumps(hashlib.sha256(line).hexdigest()).encode() + b"\n"


def decode(archive: Path, data: bytes) -> Current:
    """The generation that CURRENT's bytes describe; BadView, or NewerFormat."""
    line, _, rest = data.partition(b"\n")
    try:
        fields = encoding.load_json(line)
        if isinstance(fields, dict) and isinstance(fields.get("format"), int):
            check_format(archive, fields["format"])
        if rest.strip() != json.dumps(hashlib.sha256(line).hexdigest()).encode():
            raise BadView("CURRENT: checksum does not match")
        stamp, sound = stamps_from_json(fields)
        return Current(
            generation=int(fields["generation"]),
            epoch=str(fields["epoch"]),
            stamp=stamp,
            sound=sound,
            columns={name: Extent(**fields["columns"][name]) for name in column_names(sound)},
            clip_index=_index(fields["clip_index"]),
            scene_index=_index(fields["scene_index"]),
        )
    except (BadRecord, KeyError, TypeError, ValueError) as error:
        raise BadView(f"CURRENT: {error}") from error


def read_current(archive: Path) -> Current:
    """The generation in force; BadView if CURRENT is missing or damaged, NewerFormat."""
    try:
        data = (archive / "view" / "CURRENT").read_bytes()
    except FileNotFoundError as error:
        raise BadView("CURRENT is missing") from error
    return decode(archive, data)


def view_damaged(archive: Path, what: object) -> ArchiveDamaged:
    """The error for a view that cannot be read, with the way out."""
    return ArchiveDamaged(
        f"the search files in {archive / 'view'} are damaged ({what}): nothing is lost, "
        "the next `reelseek index add` or `reelseek index remove` makes them anew."
    )


def _index(fields: dict[str, Any] | None) -> IndexFile | None:
    return IndexFile(**fields) if fields else None
