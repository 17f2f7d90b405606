"""The published view as a search sees it: a `Snapshot`, read without a lock and without LevelDB.

A view is a folder of append-only columns and FAISS files, and `view/CURRENT`, which says how many
bytes of each count. Nothing that counts is ever changed in place, so a snapshot stays true for as
long as it is held, whatever a writer does meanwhile. See docs/internals/storage-format.md.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import encoding
from storage.current import (
    CLIP_TABLE,
    CLIP_VECTORS,
    SCENE_TABLE,
    SCENE_VECTORS,
    SEGMENT_TABLE,
    SOUND_VECTORS,
    TABLES,
    TAG_TABLE,
    VIDEOS,
    BadView,
    Current,
    Extent,
    IndexFile,
    read_current,
    view_damaged,
)
from storage.encoding import BadRecord
from storage.errors import ArchiveError, ArchiveNotFound
from storage.records import EncoderStamp, SoundStamp, VideoRecord

_START = Extent()


@dataclass(frozen=True)
class FaissFile:
    """A FAISS index (inner product) over the first rows of a column of vectors."""

    path: Path
    """Give it to ``faiss.read_index(str(path), faiss.IO_FLAG_MMAP)``; nprobe is set in it. A file
    is deleted two generations after its successor came: if it is gone, take a new snapshot."""
    rows: int
    """Ids 0 … rows-1 are row numbers of the column; later rows must be scanned exactly."""


@dataclass(frozen=True)
class VideoRows:
    """Where the rows of one video lie, in the whole of each table."""

    clips: slice
    scenes: slice
    segments: slice


@dataclass(frozen=True, repr=False)
class Snapshot:
    """One generation of an archive. Tables and vectors are memory-mapped and read-only."""

    path: Path
    """Folder of the archive."""
    generation: int
    """Number of commits that it shows."""
    stamp: EncoderStamp
    videos: tuple[VideoRecord | None, ...]
    """By video row; None where the video was removed or replaced."""
    video_rows: tuple[VideoRows, ...]
    """By video row, also of removed ones."""
    clip_table: NDArray[np.void]
    """(clips,) of video u4, start_s f8, end_s f8."""
    clip_vectors: NDArray[np.float16]
    """(clips, dim)"""
    clip_alive: NDArray[np.bool_]
    """(clips,): False where the video was removed; such rows must be skipped."""
    clip_index: FaissFile | None
    scene_table: NDArray[np.void]
    """(scenes,) of video u4, number u4 (1 = first of its video), start_s f8, end_s f8."""
    scene_vectors: NDArray[np.float16]
    """(scenes, dim)"""
    scene_alive: NDArray[np.bool_]
    scene_index: FaissFile | None
    segment_table: NDArray[np.void]
    """(segments,) of video u4, number u4 (0 = first of its video), first_clip u4 (row of
    `clip_table`), clip_count u4."""
    segment_alive: NDArray[np.bool_]
    sound_stamp: SoundStamp | None = None
    """The sound tower; None where no sound is kept, and then the next two are None too."""
    sound_vectors: NDArray[np.float16] | None = None
    """(clips, dim of the sound tower), in the order of `clip_table`; zeros for a clip without 2 s
    of sound."""
    sound_tags: NDArray[np.void] | None = None
    """(clips, TAGS_KEPT, or as many as the tower has) of label u2, probability f2, in the order of
    `clip_table`: what is most likely heard in each clip, by falling probability; None where the
    tower names nothing."""

    def live_videos(self) -> list[tuple[int, VideoRecord]]:
        """Video rows and records, without the removed ones, in order of indexing."""
        return [(row, video) for row, video in enumerate(self.videos) if video is not None]

    def __repr__(self) -> str:
        return (
            f"Snapshot({str(self.path)!r}, generation={self.generation}, "
            f"videos={len(self.live_videos())}, clips={self.clip_vectors.shape}, "
            f"scenes={self.scene_vectors.shape}, segments={len(self.segment_table)})"
        )


@dataclass
class VideoLog:
    """What `videos.jsonl` says, line by line; the last line of a row wins."""

    videos: list[VideoRecord | None]
    rows: list[VideoRows]
    lines: int = 0


def open_snapshot(path: Path) -> Snapshot:
    """The archive as it is now. Takes no lock and writes nothing: a read-only disk will do.

    Milliseconds for a thousand videos: vectors are mapped, not read.
    ArchiveNotFound, ArchiveDamaged, NewerFormat; ArchiveError if the system forbids reading.
    """
    path = Path(path)
    try:
        return _open(path)
    except OSError as error:
        raise ArchiveError(
            f"{error.filename or path} cannot be read ({error.strerror}): check the "
            "permissions of the archive's folder."
        ) from error


def _open(path: Path) -> Snapshot:
    if not (path / "ledger").is_dir() and not (path / "view" / "CURRENT").is_file():
        raise ArchiveNotFound(
            f"there is no archive at {path}: make one with `reelseek index add`, "
            "or name another folder with --db."
        )
    seen: Current | None = None
    while True:
        try:
            current = read_current(path)
            return _snapshot(path, current)
        except BadView as error:
            raise view_damaged(path, error) from error
        except FileNotFoundError as error:
            # A writer published a new epoch and cleared the old one between our two looks.
            if current == seen:
                raise view_damaged(path, f"{error.filename} is missing") from error
            seen = current


def read_videos(
    folder: Path, current: Current, log: VideoLog, known: Current | None = None
) -> None:
    """Let the lines of `videos.jsonl` take effect that come after a known generation.

    BadView if the file is damaged.
    """
    before = known.columns[VIDEOS] if known else _START
    data = _checked(folder, VIDEOS, current.columns[VIDEOS], before)
    try:
        for line in json.loads(b"[" + b",".join(data.splitlines()) + b"]"):
            _take_line(log, line)
    except (BadRecord, LookupError, TypeError, ValueError) as error:
        raise BadView(f"{VIDEOS}: line {log.lines + 1}: {error}") from error


def _take_line(log: VideoLog, line: dict[str, Any]) -> None:
    row = line["row"]
    if line["video"] is None:
        log.videos[row] = None
    else:
        video = encoding.video_from_json(line["video"])
        if row == len(log.videos):
            log.videos.append(video)
            parts = (slice(*line[key]) for key in ("clips", "scenes", "segments"))
            log.rows.append(VideoRows(*parts))
        else:
            log.videos[row] = video
    log.lines += 1


def map_column(folder: Path, column: str, current: Current) -> NDArray[Any]:
    """A table or the vectors of a column, cut to the rows that count; BadView if it is short."""
    path = folder / column
    rows, row_type = current.rows(column), current.row_type(column)
    if path.stat().st_size < current.columns[column].size:
        raise BadView(f"{column} is too short")
    if rows == 0:
        return np.empty(0, row_type)
    mapped: NDArray[Any] = np.memmap(path, row_type, "r", shape=(rows,))
    return mapped


def index_path(folder: Path, index: IndexFile | None) -> FaissFile | None:
    """The FAISS file, if there is one; BadView if its length is wrong."""
    if index is None:
        return None
    path = folder / index.name
    if path.stat().st_size != index.size:
        raise BadView(f"{index.name} has another length than it should")
    return FaissFile(path, index.rows)


def check_table(folder: Path, table: str, current: Current) -> None:
    """BadView if a table's checksum fails: a wrong number in it would lead a search astray."""
    _checked(folder, table, current.columns[table])


def _checked(folder: Path, column: str, extent: Extent, start: Extent = _START) -> bytes:
    """The bytes of a column from one extent to another; BadView if the checksum fails."""
    with open(folder / column, "rb") as file:
        file.seek(start.size)
        data = file.read(extent.size - start.size)
    if start.size + len(data) != extent.size:
        raise BadView(f"{column} is too short")
    if zlib.crc32(data, start.crc32) != extent.crc32:
        raise BadView(f"{column}: checksum does not match")
    return data


def _snapshot(path: Path, current: Current) -> Snapshot:
    folder = path / "view" / current.epoch
    log = VideoLog([], [])
    read_videos(folder, current, log)
    for table in TABLES:
        check_table(folder, table, current)
    gone = [rows for video, rows in zip(log.videos, log.rows, strict=True) if video is None]

    def alive(count: int, ranges: list[slice]) -> NDArray[np.bool_]:
        mask = np.ones(count, np.bool_)
        for rows in ranges:
            mask[rows] = False
        return mask

    clip_table = map_column(folder, CLIP_TABLE, current)
    scene_table = map_column(folder, SCENE_TABLE, current)
    segment_table = map_column(folder, SEGMENT_TABLE, current)
    return Snapshot(
        path=path,
        generation=current.generation,
        stamp=current.stamp,
        videos=tuple(log.videos),
        video_rows=tuple(log.rows),
        clip_table=clip_table,
        clip_vectors=map_column(folder, CLIP_VECTORS, current),
        clip_alive=alive(len(clip_table), [rows.clips for rows in gone]),
        clip_index=index_path(folder, current.clip_index),
        scene_table=scene_table,
        scene_vectors=map_column(folder, SCENE_VECTORS, current),
        scene_alive=alive(len(scene_table), [rows.scenes for rows in gone]),
        scene_index=index_path(folder, current.scene_index),
        segment_table=segment_table,
        segment_alive=alive(len(segment_table), [rows.segments for rows in gone]),
        sound_stamp=current.sound,
        sound_vectors=map_column(folder, SOUND_VECTORS, current) if current.sound else None,
        sound_tags=map_column(folder, TAG_TABLE, current) if TAG_TABLE in current.columns else None,
    )
