"""Checks every byte of an archive: the ledger's checksums, the view's, and that the two agree."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np

from storage.current import BadView, Current, most_likely, read_current
from storage.errors import (
    ArchiveBusy,
    ArchiveDamaged,
    ArchiveError,
    ArchiveFull,
    ArchiveNotFound,
    ArchiveReadOnly,
)
from storage.failures import os_errors
from storage.ledger import Ledger, ledger_exists, open_ledger
from storage.locks import writer_lock
from storage.records import SoundFeatures, VideoRecord
from storage.view import Snapshot, open_snapshot


def verify_view(path: Path) -> list[str]:
    """The same of what a search reads alone: for an archive that cannot be written.

    Takes no lock and does not open the ledger.
    """
    problems: list[str] = []
    with os_errors(path):
        _check_view(Path(path), problems)
    return problems


def verify(path: Path) -> list[str]:
    """One sentence for each thing that is wrong; an empty list if all is well.

    Reads the whole archive under the writer lock; memory for one video at a time.
    ArchiveNotFound, ArchiveReadOnly, ArchiveBusy, NewerFormat.
    """
    path = Path(path)
    if not ledger_exists(path):
        raise ArchiveNotFound(f"there is no archive at {path}")
    problems: list[str] = []
    with writer_lock(path), os_errors(path):
        snapshot = _check_view(path, problems)
        try:
            with open_ledger(path) as ledger:
                _check_ledger(ledger, problems)
                if snapshot is not None:
                    _compare(ledger, snapshot, problems)
        except (ArchiveBusy, ArchiveFull, ArchiveReadOnly):
            raise
        except ArchiveError as error:
            problems.append(str(error))
    return problems


def _check_view(path: Path, problems: list[str]) -> Snapshot | None:
    try:
        current = read_current(path)
        problems += _bad_files(path / "view" / current.epoch, current)
        return open_snapshot(path)
    except (BadView, FileNotFoundError, ArchiveError) as error:
        problems.append(f"view: {error}")
        return None


def _bad_files(folder: Path, current: Current) -> list[str]:
    problems = []
    for name, extent in current.columns.items():
        checksum, left = 0, extent.size
        with open(folder / name, "rb") as file:
            while data := file.read(min(left, 1 << 20)):
                checksum = zlib.crc32(data, checksum)
                left -= len(data)
        if left or checksum != extent.crc32:
            problems.append(f"view: {name}: checksum does not match")
    for index in (current.clip_index, current.scene_index):
        if index:
            with open(folder / index.name, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != index.sha256:
                problems.append(f"view: {index.name}: checksum does not match")
    return problems


def _check_ledger(ledger: Ledger, problems: list[str]) -> None:
    problems += ledger.unreadable_records()
    generations = [entry.generation for entry in ledger.journal(0)]
    if generations != list(range(1, ledger.generation() + 1)):
        problems.append("ledger: the journal has gaps")


def _compare(ledger: Ledger, snapshot: Snapshot, problems: list[str]) -> None:
    if ledger.generation() != snapshot.generation:
        problems.append(
            f"view: shows generation {snapshot.generation}, the ledger is at {ledger.generation()}"
        )
        return
    if ledger.stamps() != (snapshot.stamp, snapshot.sound_stamp):
        problems.append("view: names another encoder or sound tower than the ledger")
    shown = {video.video_id: row for row, video in snapshot.live_videos()}
    known = ledger.video_ids()
    for video_id in sorted(set(known) ^ set(shown)):
        place = "ledger" if video_id in known else "view"
        problems.append(f"video {video_id} is only in the {place}")
    for video_id in sorted(set(known) & set(shown)):
        row = shown[video_id]
        try:
            if not _same(ledger, snapshot, row, snapshot.videos[row]):
                problems.append(f"video {video_id} is not the same in ledger and view")
        except ArchiveDamaged as error:
            problems.append(str(error))


def _same(ledger: Ledger, snapshot: Snapshot, row: int, video: VideoRecord | None) -> bool:
    assert video is not None
    item = ledger.read(video.video_id)
    rows = snapshot.video_rows[row]
    clips, scenes = snapshot.clip_table[rows.clips], snapshot.scene_table[rows.scenes]
    segments = snapshot.segment_table[rows.segments]
    first = rows.clips.start
    times = np.stack([clips["start_s"], clips["end_s"]], axis=1)
    return (
        video == item.video
        and all((table["video"] == row).all() for table in (clips, scenes, segments))
        and np.array_equal(times, item.clip_times_s)
        and np.array_equal(snapshot.clip_vectors[rows.clips], item.clip_vectors)
        and np.array_equal(snapshot.scene_vectors[rows.scenes], item.scene_vectors)
        and _same_sound(snapshot, rows.clips, item.sound)
        and scenes[["number", "start_s", "end_s"]].tolist()
        == [(s.number, s.start_s, s.end_s) for s in item.scenes]
        and segments[["number", "first_clip", "clip_count"]].tolist()
        == [(s.number, first + s.first_clip, s.clip_count) for s in item.segments]
    )


def _same_sound(snapshot: Snapshot, clips: slice, sound: SoundFeatures | None) -> bool:
    vectors, tags = snapshot.sound_vectors, snapshot.sound_tags
    if sound is None or vectors is None:
        return sound is None and vectors is None
    if not np.array_equal(vectors[clips], sound.vectors):
        return False
    if tags is None:
        return sound.tags.size == 0
    return np.array_equal(tags[clips], most_likely(sound.tags))
