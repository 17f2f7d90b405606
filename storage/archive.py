"""The one door to an archive: add, remove, relocate, list, open for search.

archive = Archive.create_or_open(Path("dbs"), encoder_stamp, sound_stamp)
archive.add(indexed_video)
open_snapshot(Path("dbs")).live_videos()
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from storage import claims
from storage.current import BadView, read_current, view_damaged
from storage.errors import ArchiveError, ArchiveNotFound, EncoderMismatch, VideoNotFound
from storage.failures import archive_read_only, ledger_damaged, os_errors
from storage.formats import Stamps
from storage.ledger import Change, Ledger, create_ledger, ledger_exists, open_ledger
from storage.locks import writer_lock
from storage.publisher import Publisher
from storage.records import EncoderStamp, IndexedVideo, Location, SoundFeatures, SoundStamp
from storage.view import Snapshot, open_snapshot

__all__ = ["Archive", "Snapshot", "open_snapshot", "stamps_of"]

log = logging.getLogger("reelseek.storage")

_OURS = {"writer.lock", "ledger", "ledger.new", "view", "claims"}
_HARMLESS = {".gitignore", ".gitkeep", ".DS_Store", "Thumbs.db", "desktop.ini"}
_VIDEO_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")


class Archive:
    """An archive folder opened for writing. It holds no lock and no file between calls.

    Each writing call takes the writer lock, changes the ledger in one atomic step, and publishes
    what a search sees. It raises ArchiveFull, ArchiveReadOnly, ArchiveBusy, ArchiveDamaged or
    NewerFormat; the archive is then as it was before the call.
    """

    def __init__(
        self, path: Path, stamp: EncoderStamp, sound: SoundStamp | None, created: bool
    ) -> None:
        self.path = path
        """Folder of the archive."""
        self.stamp = stamp
        """The encoder whose vectors it holds."""
        self.sound = sound
        """The sound tower whose vectors it holds; None if it keeps no sound."""
        self.created = created
        """Whether opening made the archive."""
        self._publisher = Publisher(path)

    @classmethod
    def create_or_open(
        cls, path: Path, stamp: EncoderStamp, sound: SoundStamp | None = None
    ) -> Archive:
        """The archive in a folder; made if the folder is missing or empty.

        EncoderMismatch if another encoder or sound tower filled it (or none did and one is given,
        or the other way round), ArchiveNotFound if the folder holds other things, ArchiveReadOnly
        before any work is lost.
        """
        path = Path(path)
        _refuse_foreign(path)
        with os_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        created = False
        with writer_lock(path):
            if not ledger_exists(path):
                if (path / "view" / "CURRENT").exists():
                    raise ledger_damaged(path, "it is missing")
                create_ledger(path, stamp, sound)
                created = True
            archive = cls(path, stamp, sound, created)
            archive._check()
        return archive

    @classmethod
    def open(cls, path: Path) -> Archive:
        """The archive in a folder, whatever made it; ArchiveNotFound if there is none."""
        path = Path(path)
        if not ledger_exists(path):
            if (path / "view" / "CURRENT").exists():
                raise ledger_damaged(path, "it is missing")
            raise ArchiveNotFound(
                f"there is no archive at {path}: make one with `reelseek index add`, "
                "or name another folder with --db."
            )
        with writer_lock(path):
            with open_ledger(path) as ledger:
                archive = cls(path, *ledger.stamps(), False)
            archive._check()
        return archive

    def add(self, video: IndexedVideo) -> int:
        """Put a video in, in place of one with the same id; the new generation."""
        _validate(video, self.stamp, self.sound)
        return self._commit(lambda ledger: Change(put=(video,)))

    def remove(self, video_id: str) -> int:
        """Take a video out; the new generation. VideoNotFound. Works on damaged records too."""

        def change(ledger: Ledger) -> Change:
            self._require(ledger, video_id)
            return Change(removed=(video_id,))

        return self._commit(change)

    def relocate(self, video_id: str, locations: tuple[Location, ...]) -> int:
        """Say where a video's file lies now; the new generation. VideoNotFound.

        Metadata only: for a file that was renamed, moved, copied or touched.
        """
        if not locations:
            raise ValueError("a video needs at least one location")

        def change(ledger: Ledger) -> Change:
            self._require(ledger, video_id)
            record = dataclasses.replace(ledger.video(video_id), locations=locations)
            return Change(relocated=(record,))

        return self._commit(change)

    def snapshot(self) -> Snapshot:
        """The archive as it is now, for reading."""
        return open_snapshot(self.path)

    def claim(self, video_id: str) -> AbstractContextManager[bool]:
        """True inside the block if this process may index the video, False if another is at it."""
        return claims.claim(self.path, video_id)

    def rebuild_view(self) -> None:
        """Make what a search reads anew from the ledger, whether it seems damaged or not."""
        with self._writing(), open_ledger(self.path) as ledger:
            self._publisher.rebuild(ledger)

    def _commit(self, make: Callable[[Ledger], Change]) -> int:
        with self._writing():
            with open_ledger(self.path) as ledger:
                self._agree(ledger)
                self._publisher.catch_up(ledger)
                change = make(ledger)
                staged = self._publisher.stage(change, ledger.generation() + 1)
                try:
                    generation = ledger.commit(change)
                except ArchiveError:
                    self._publisher.discard()
                    raise
                self._publisher.publish(staged)
            self._tidy()
        return generation

    def _tidy(self) -> None:
        """A new epoch or new FAISS files, if due. The commit stands, even if there is no room."""
        try:
            if self._publisher.needs_new_epoch():
                with open_ledger(self.path) as ledger:
                    self._publisher.rebuild(ledger)
            try:
                self._publisher.seal()
            except BadView as error:
                log.warning("making the search files of %s anew: %s", self.path, error)
                with open_ledger(self.path) as ledger:
                    self._publisher.rebuild(ledger)
        except (ArchiveError, OSError) as error:
            log.warning("searching %s stays slower than need be for now: %s", self.path, error)

    def _check(self) -> None:
        """Fail now rather than after hours of indexing; mend the view if a crash left it behind."""
        with os_errors(self.path), self._bad_view():
            _require_writable(self.path)
            with open_ledger(self.path) as ledger:
                self._agree(ledger)
                self._publisher.catch_up(ledger)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writer_lock(self.path), os_errors(self.path), self._bad_view():
            yield

    @contextlib.contextmanager
    def _bad_view(self) -> Iterator[None]:
        try:
            yield
        except BadView as error:  # damaged a second time while being made anew
            raise view_damaged(self.path, error) from error

    def _agree(self, ledger: Ledger) -> None:
        theirs, sound = ledger.stamps()
        if theirs != self.stamp:
            if theirs.fingerprint == self.stamp.fingerprint:
                raise EncoderMismatch(
                    f"{self.path} was made with the encoder {theirs.encoder_id}, which has the "
                    f"same weights as {self.stamp.encoder_id} under another name: leave --encoder "
                    "out, or import them under the name that the archive knows."
                )
            raise EncoderMismatch(
                f"{self.path} was made with the encoder {theirs.encoder_id} "
                f"({theirs.fingerprint[:12]}), not with {self.stamp.encoder_id} "
                f"({self.stamp.fingerprint[:12]}): use that encoder, or name another folder "
                "with --db for a new archive."
            )
        if sound != self.sound:
            raise EncoderMismatch(
                f"{self.path} was made {_with(sound)}, not {_with(self.sound)}: go on as it was "
                "made, or name another folder with --db for a new archive."
            )

    def _require(self, ledger: Ledger, video_id: str) -> None:
        if video_id not in ledger:
            raise VideoNotFound(
                f"{self.path} holds no video {video_id}: `reelseek index list` shows what it holds."
            )


def stamps_of(path: Path) -> Stamps | None:
    """What an archive was made with, to go on in the same way; None if there is no archive yet.

    Takes no lock if the view can be read.
    NewerFormat, ArchiveDamaged, ArchiveReadOnly, ArchiveBusy.
    """
    path = Path(path)
    with os_errors(path):
        try:
            current = read_current(path)
            return current.stamp, current.sound
        except NotADirectoryError:
            return None
        except BadView:
            if not ledger_exists(path):
                return None
        with writer_lock(path), open_ledger(path) as ledger:
            return ledger.stamps()


def _with(sound: SoundStamp | None) -> str:
    if sound is None:
        return "without sound"
    return f"with the sound tower {sound.encoder_id} ({sound.fingerprint[:12]})"


def _refuse_foreign(path: Path) -> None:
    """ArchiveNotFound for a file, or for a folder with other things in it."""
    if path.exists() and not path.is_dir():
        raise ArchiveNotFound(f"{path} is a file, not an archive folder: name a folder with --db.")
    if path.is_dir() and not ledger_exists(path):
        with os_errors(path):
            foreign = sorted({entry.name for entry in path.iterdir()} - _OURS - _HARMLESS)
        if foreign:
            raise ArchiveNotFound(
                f"{path} is not an archive and holds other files ({foreign[0]}, …): "
                "name an empty or a new folder with --db."
            )


def _require_writable(path: Path) -> None:
    for folder in (path, path / "ledger", path / "view", path / "claims"):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise archive_read_only(path)


def _validate(item: IndexedVideo, stamp: EncoderStamp, sound: SoundStamp | None) -> None:
    """ValueError if the parts do not fit together: a mistake of the caller, not of the user."""
    dim = stamp.dim
    clips, scenes = len(item.clip_times_s), len(item.scenes)
    problems = {
        "video id": not _VIDEO_ID.fullmatch(item.video.video_id),
        "locations": not item.video.locations,
        "clip_times_s": item.clip_times_s.shape != (clips, 2) or clips == 0,
        "clip_vectors": item.clip_vectors.shape != (clips, dim),
        "scene_vectors": item.scene_vectors.shape != (scenes, dim) or scenes == 0,
        "dtype": not item.clip_vectors.dtype == item.scene_vectors.dtype == np.float16,
        "segments": not item.segments
        or any(
            s.first_clip < 0 or s.clip_count < 1 or s.first_clip + s.clip_count > clips
            for s in item.segments
        ),
        "sound": not _sound_fits(item.sound, clips, sound),
    }
    wrong = [name for name, bad in problems.items() if bad]
    if wrong:
        raise ValueError(
            f"{item!r} does not fit a {dim}-dimensional archive {_with(sound)}: {', '.join(wrong)}"
        )
    if not (np.isfinite(item.clip_vectors).all() and np.isfinite(item.scene_vectors).all()):
        raise ValueError(f"{item!r} has vectors with NaN or infinity")


def _sound_fits(heard: SoundFeatures | None, clips: int, sound: SoundStamp | None) -> bool:
    if heard is None or sound is None:
        return heard is None and sound is None
    return bool(
        heard.vectors.dtype == heard.tags.dtype == np.float16
        and heard.vectors.shape == (clips, sound.dim)
        and heard.tags.shape == (clips, sound.tags)
        and np.isfinite(heard.vectors).all()
        and ((heard.tags >= 0) & (heard.tags <= 1)).all()  # NaN is neither
    )
