"""`view/CURRENT`: the small file that says which generation of the view is in force.

Two lines: a JSON object, and the SHA-256 of the first line as a JSON string. It is only ever
replaced as a whole, so a reader sees one generation or the one before, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from storage import encoding
from storage.encoding import BadRecord
from storage.errors import ArchiveDamaged
from storage.formats import FORMAT, check_format
from storage.records import EncoderStamp

VIDEOS = "videos.jsonl"
CLIP_VECTORS = "clips.f16"
CLIP_TABLE = "clips.table"
SCENE_VECTORS = "scenes.f16"
SCENE_TABLE = "scenes.table"
SEGMENT_TABLE = "segments.table"
COLUMNS = (VIDEOS, CLIP_VECTORS, CLIP_TABLE, SCENE_VECTORS, SCENE_TABLE, SEGMENT_TABLE)

CLIP_ROW = np.dtype([("video", "<u4"), ("start_s", "<f8"), ("end_s", "<f8")])
SCENE_ROW = np.dtype([("video", "<u4"), ("number", "<u4"), ("start_s", "<f8"), ("end_s", "<f8")])
SEGMENT_ROW = np.dtype(
    [("video", "<u4"), ("number", "<u4"), ("first_clip", "<u4"), ("clip_count", "<u4")]
)
TABLES = {CLIP_TABLE: CLIP_ROW, SCENE_TABLE: SCENE_ROW, SEGMENT_TABLE: SEGMENT_ROW}


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
    columns: dict[str, Extent] = field(default_factory=lambda: dict.fromkeys(COLUMNS, Extent()))
    clip_index: IndexFile | None = None
    scene_index: IndexFile | None = None

    def rows(self, column: str) -> int:
        """Rows of a table or of a column of vectors."""
        return self.columns[column].size // self.row_size(column)

    def row_size(self, column: str) -> int:
        """Bytes of a row."""
        if column in TABLES:
            return TABLES[column].itemsize
        return encoding.VECTOR.itemsize * self.stamp.dim

    def index_names(self) -> set[str]:
        """Names of the FAISS files in use."""
        return {index.name for index in (self.clip_index, self.scene_index) if index}


def encode(current: Current) -> bytes:
    """The bytes of CURRENT."""
    line = encoding.dump_json(
        {
            "format": FORMAT,
            "generation": current.generation,
            "epoch": current.epoch,
            "encoder": encoding.stamp_to_json(current.stamp),
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
        return Current(
            generation=int(fields["generation"]),
            epoch=str(fields["epoch"]),
            stamp=encoding.stamp_from_json(fields["encoder"]),
            columns={name: Extent(**fields["columns"][name]) for name in COLUMNS},
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
