"""Makes the published view follow the ledger: append, publish, rebuild, clear away.

All of it runs under the writer lock. A commit takes three steps: `stage` writes and syncs all that
needs room on the disk (beyond what counts, so that nobody sees it), the ledger commits, `publish`
renames CURRENT. A crash between the last two leaves a view that is behind; `catch_up` mends it.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import current as layout
from storage import encoding, files, sealing
from storage.current import BadView, Current
from storage.errors import ArchiveDamaged
from storage.ledger import Change, Ledger
from storage.records import IndexedVideo, VideoRecord
from storage.view import VideoLog, VideoRows, check_table, index_path, map_column, read_videos

log = logging.getLogger("reelseek.storage")

DEAD_SHARE = 4
"""A new epoch is made when more than one clip row in so many belongs to a removed video: a search
that skips a quarter of what it reads is hardly slower, and rebuilding is paid for by as many
removals."""

SPARE_LINES = 1024
"""Lines of `videos.jsonl` that may be out of date, beyond four for each video, before a new epoch
is made: each search parses them all."""

MOST_MISSED = 64
"""Commits that a view may be behind to catch up by the journal; a crash leaves one. Beyond, it is
made anew, which needs memory for one video at a time."""


class Publisher:
    """Writes the view of one archive; the caller holds the writer lock during each call."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._view = archive / "view"
        self._current: Current | None = None
        self._log = VideoLog([], [])
        self._rows: dict[str, int] = {}

    def catch_up(self, ledger: Ledger) -> None:
        """Bring the view to the ledger's generation; rebuild it if it is missing or damaged."""
        try:
            self._load()
            assert self._current is not None
            behind = ledger.generation() - self._current.generation
            if behind < 0:
                raise ArchiveDamaged(
                    f"the ledger in {self._archive / 'ledger'} is older than the search files in "
                    f"{self._view}: restore the newer ledger, or delete {self._view} to go on "
                    "with the older one."
                )
            if (self._current.stamp, self._current.sound) != ledger.stamps():
                raise BadView("another encoder or sound tower than the ledger's")
            if behind > MOST_MISSED:
                raise BadView(f"{behind} commits behind")
            if behind:
                self.publish(self.stage(self._missed(ledger), ledger.generation()))
        except (BadView, FileNotFoundError) as error:
            if ledger.generation():
                log.info("making the search files in %s anew (%s)", self._view, error)
            self.rebuild(ledger)

    def stage(self, change: Change, generation: int) -> Current:
        """Write what a change adds behind what counts, and CURRENT's next version beside it."""
        try:
            return self._stage(change, generation)
        except OSError:
            self.discard()
            raise

    def discard(self) -> None:
        """Give back the room that a staged generation takes, because the ledger did not commit."""
        before = self._loaded()
        files.cut_to(self._view / before.epoch, before.columns)

    def publish(self, staged: Current) -> None:
        """Let a staged generation be the one in force."""
        before = self._current
        files.replace(self._view / "CURRENT.new", self._view / "CURRENT")
        self._follow(staged)
        self._clear_away(before, staged)

    def rebuild(self, ledger: Ledger) -> None:
        """Make the view anew from the ledger, in a new epoch."""
        self._view.mkdir(exist_ok=True)
        numbers = [int(path.name) for path in self._view.iterdir() if path.name.isdigit()]
        epoch = f"{max(numbers, default=0) + 1:06d}"
        with files.removed_on_error(self._view / epoch):
            fresh = self._made_anew(ledger, epoch)
        self.publish(fresh)

    def _made_anew(self, ledger: Ledger, epoch: str) -> Current:
        (self._view / epoch).mkdir()
        fresh = layout.empty(ledger.generation(), epoch, *ledger.stamps())
        with files.Appender(self._view / epoch, fresh.columns) as columns:
            for name in fresh.columns:
                (self._view / epoch / name).touch()
            for row, video_id in enumerate(ledger.video_ids()):
                append_video(columns, row, ledger.read(video_id))
        fresh = dataclasses.replace(fresh, columns=columns.extents)
        fresh = sealing.seal(self._view / epoch, fresh)
        files.write_synced(self._view / "CURRENT.new", layout.encode(fresh))
        return fresh

    def needs_new_epoch(self) -> bool:
        """Whether removed videos take up so much that the view should be made anew."""
        gone = [
            rows.clips.stop - rows.clips.start
            for video, rows in zip(self._log.videos, self._log.rows, strict=True)
            if video is None
        ]
        clips = self._loaded().rows(layout.CLIP_TABLE)
        too_many_lines = self._log.lines > 4 * len(self._rows) + SPARE_LINES
        return sum(gone) * DEAD_SHARE > clips or too_many_lines

    def seal(self) -> None:
        """Make new FAISS files if too many rows lie behind those that the present ones cover."""
        before = self._loaded()
        sealed = sealing.seal(self._view / before.epoch, before)
        if sealed != before:
            files.write_synced(self._view / "CURRENT.new", layout.encode(sealed))
            self.publish(sealed)

    def _loaded(self) -> Current:
        assert self._current is not None, "catch_up comes first"
        return self._current

    def _stage(self, change: Change, generation: int) -> Current:
        before = self._loaded()
        video_rows = len(self._log.videos)
        with files.Appender(self._view / before.epoch, before.columns) as columns:
            replaced = [item.video.video_id for item in change.put]
            for video_id in [*change.removed, *replaced]:
                if video_id in self._rows:
                    line = {"row": self._rows[video_id], "video": None}
                    columns.append(layout.VIDEOS, encoding.dump_json(line) + b"\n")
            for video in change.relocated:
                columns.append(layout.VIDEOS, _video_line(self._rows[video.video_id], video, None))
            for item in change.put:
                append_video(columns, video_rows, item)
                video_rows += 1
        staged = dataclasses.replace(before, generation=generation, columns=columns.extents)
        files.write_synced(self._view / "CURRENT.new", layout.encode(staged))
        return staged

    def _load(self) -> None:
        current = layout.read_current(self._archive)
        folder = self._view / current.epoch
        for name in current.columns:
            map_column(folder, name, current)
        for index in (current.clip_index, current.scene_index):
            index_path(folder, index)
        if current != self._current:
            for table in layout.TABLES:
                check_table(folder, table, current)
            self._follow(current)

    def _follow(self, current: Current) -> None:
        known = self._current
        if known is None or known.epoch != current.epoch:
            self._log = VideoLog([], [])
            known = None
        read_videos(self._view / current.epoch, current, self._log, known)
        self._rows = {v.video_id: row for row, v in enumerate(self._log.videos) if v is not None}
        self._current = current

    def _missed(self, ledger: Ledger) -> Change:
        """The commits that the view has not seen, as one change: the ledger as it is now wins."""
        put: dict[str, None] = {}
        removed: dict[str, None] = {}
        relocated: dict[str, None] = {}
        for entry in ledger.journal(self._loaded().generation):
            put.update(dict.fromkeys(entry.put))
            removed.update(dict.fromkeys(entry.removed))
            relocated.update(dict.fromkeys(entry.relocated))
        return Change(
            put=tuple(ledger.read(name) for name in put if name in ledger),
            removed=tuple(name for name in removed | put if name not in ledger),
            relocated=tuple(
                ledger.video(name) for name in relocated if name in ledger and name not in put
            ),
        )

    def _clear_away(self, before: Current | None, now: Current) -> None:
        """Delete what neither this generation nor the one before needs.

        The one before stays, for a search that has read CURRENT but not yet opened the files.
        """
        kept = [current for current in (before, now) if current is not None]
        for folder in self._view.iterdir():
            if folder.name.isdigit() and folder.name not in {current.epoch for current in kept}:
                files.remove(folder)
        names = set().union(*(c.index_names() for c in kept if c.epoch == now.epoch))
        for path in (self._view / now.epoch).glob("*.faiss*"):
            if path.name not in names:
                files.remove(path)


def append_video(columns: files.Appender, row: int, item: IndexedVideo) -> None:
    """Add all rows of a video to the columns."""
    first = {
        name: columns.extents[name].size // table.itemsize for name, table in layout.TABLES.items()
    }
    clips = np.zeros(len(item.clip_times_s), layout.CLIP_ROW)
    clips["video"] = row
    clips["start_s"], clips["end_s"] = item.clip_times_s.T
    scenes = np.array([(row, s.number, s.start_s, s.end_s) for s in item.scenes], layout.SCENE_ROW)
    segments = np.array(
        [
            (row, s.number, first[layout.CLIP_TABLE] + s.first_clip, s.clip_count)
            for s in item.segments
        ],
        layout.SEGMENT_ROW,
    )
    rows = VideoRows(
        *(
            slice(first[name], first[name] + len(table))
            for name, table in (
                (layout.CLIP_TABLE, clips),
                (layout.SCENE_TABLE, scenes),
                (layout.SEGMENT_TABLE, segments),
            )
        )
    )
    columns.append(layout.VIDEOS, _video_line(row, item.video, rows))
    columns.append(layout.CLIP_VECTORS, _vector_rows(item.clip_vectors))
    columns.append(layout.CLIP_TABLE, clips.tobytes())
    columns.append(layout.SCENE_VECTORS, _vector_rows(item.scene_vectors))
    columns.append(layout.SCENE_TABLE, scenes.tobytes())
    columns.append(layout.SEGMENT_TABLE, segments.tobytes())
    if item.sound is not None:
        columns.append(layout.SOUND_VECTORS, _vector_rows(item.sound.vectors))
        if item.sound.tags.shape[1]:
            columns.append(layout.TAG_TABLE, layout.most_likely(item.sound.tags).tobytes())


def _vector_rows(vectors: NDArray[np.float16]) -> bytes:
    return vectors.astype(encoding.VECTOR, copy=False).tobytes()


def _video_line(row: int, video: VideoRecord, rows: VideoRows | None) -> bytes:
    line: dict[str, Any] = {"row": row, "video": encoding.video_to_json(video)}
    if rows is not None:
        for key in ("clips", "scenes", "segments"):
            part = getattr(rows, key)
            line[key] = [part.start, part.stop]
    return encoding.dump_json(line) + b"\n"
