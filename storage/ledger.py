"""The truth of an archive: one LevelDB with three indexes, a journal, and a generation number.

LevelDB admits one process at a time, readers included. So it is open only for the milliseconds of
a commit, behind `locks.writer_lock`. Only this module knows which Python binding is installed.

    settings                        JSON: format number, stamps of encoder and sound tower
    generation                      JSON: a number, raised by one with each commit
    journal/<generation>            JSON: ids put, removed and relocated by that commit
    video/<id>                      JSON: VideoRecord                      (index 1, metadata)
    membership/<id>                 packed: clip times, scenes, segments   (index 2, membership)
    embedding/<id>/clips, /scenes   packed: float16 rows                   (index 3, embeddings)
    embedding/<id>/sounds, /tags    the same, only where sound is kept     (index 3, embeddings)
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from storage import encoding, files
from storage.encoding import BadRecord, damaged_video
from storage.errors import NewerFormat
from storage.failures import from_leveldb, ledger_damaged, leveldb_text, os_errors
from storage.formats import Stamps, check_format, stamps_from_json, stamps_to_json
from storage.locks import Patience
from storage.records import EncoderStamp, IndexedVideo, SoundFeatures, SoundStamp, VideoRecord

_SETTINGS = b"settings"
_GENERATION = b"generation"


@dataclass(frozen=True)
class Change:
    """What one commit does, all of it or nothing."""

    put: tuple[IndexedVideo, ...] = ()
    """Videos that are new, or that take the place of those with the same id."""
    removed: tuple[str, ...] = ()
    """Ids of videos that go."""
    relocated: tuple[VideoRecord, ...] = ()
    """Videos whose metadata changes while their vectors stay."""


@dataclass(frozen=True)
class JournalEntry:
    """The ids that one commit touched."""

    generation: int
    put: tuple[str, ...]
    removed: tuple[str, ...]
    relocated: tuple[str, ...]


class Ledger:
    """An open ledger; the caller holds the writer lock. Use `open_ledger`."""

    def __init__(self, archive: Path, db: LevelDB) -> None:
        self._archive = archive
        self._db = db

    def stamps(self) -> Stamps:
        """The encoder and the sound tower of the archive; NewerFormat if we are too old for it."""
        settings = self._json(_SETTINGS)
        try:
            number = int(settings["format"])
            check_format(self._archive, number)
            return stamps_from_json(settings)
        except (BadRecord, KeyError, TypeError, ValueError) as error:
            raise ledger_damaged(self._archive, f"settings: {error}") from error

    def generation(self) -> int:
        """The number of commits so far."""
        return int(self._json(_GENERATION))

    def video_ids(self) -> list[str]:
        """Ids of all videos, sorted."""
        with leveldb_errors(self._archive):
            keys = self._db.iterator(prefix=b"video/", include_value=False)
            return [key.removeprefix(b"video/").decode() for key in keys]

    def __contains__(self, video_id: str) -> bool:
        return self._get(b"video/" + video_id.encode()) is not None

    def video(self, video_id: str) -> VideoRecord:
        """The metadata of a video; KeyError if unknown, ArchiveDamaged if unreadable."""
        key = b"video/" + video_id.encode()
        record = self._get(key)
        if record is None:
            raise KeyError(video_id)
        try:
            return encoding.video_from_json(encoding.load_json(encoding.unseal(key, record)))
        except BadRecord as error:
            raise damaged_video(self._archive, video_id, "the metadata") from error

    def read(self, video_id: str) -> IndexedVideo:
        """All that is known of a video; KeyError if unknown, ArchiveDamaged if unreadable."""
        video = self.video(video_id)
        try:
            what = "the list of clips and scenes"
            name = video_id.encode()
            times, scenes, segments = encoding.unpack_membership(
                self._payload(b"membership/" + name)
            )
            what = "the clip vectors"
            clips = self._vectors(name, b"clips")
            what = "the scene vectors"
            scene_rows = self._vectors(name, b"scenes")
            sound = None
            if self._keeps_sound():
                what = "the sound vectors"
                heard = self._vectors(name, b"sounds")
                what = "the tags of the sound"
                sound = SoundFeatures(heard, self._vectors(name, b"tags"))
        except BadRecord as error:
            raise damaged_video(self._archive, video_id, what) from error
        return IndexedVideo(video, times, clips, scenes, scene_rows, segments, sound)

    def commit(self, change: Change) -> int:
        """Write a change in one synced batch; the new generation."""
        generation = self.generation() + 1
        sound = bool(change.removed) and self._keeps_sound()
        batch_of_all = self._db.write_batch(transaction=True, sync=True)
        with leveldb_errors(self._archive), batch_of_all as batch:
            for video_id in change.removed:
                for key in _keys_of(video_id, sound):
                    batch.delete(key)
            for item in change.put:
                keys = _keys_of(item.video.video_id, item.sound is not None)
                for key, payload in zip(keys, _payloads(item), strict=True):
                    batch.put(key, encoding.seal(key, payload))
            for video in change.relocated:
                key = b"video/" + video.video_id.encode()
                batch.put(key, encoding.seal(key, _video_payload(video)))
            for key, value in (
                (_journal_key(generation), _journal_value(change)),
                (_GENERATION, generation),
            ):
                batch.put(key, encoding.seal(key, encoding.dump_json(value)))
        return generation

    def journal(self, after: int) -> list[JournalEntry]:
        """What the commits after a generation touched, oldest first."""
        start = _journal_key(after + 1)
        with leveldb_errors(self._archive):
            rows = list(self._db.iterator(start=start, stop=b"journal0", include_value=True))
        entries = []
        for key, record in rows:
            try:
                value = encoding.load_json(encoding.unseal(key, record))
                ids = [tuple(value[name]) for name in ("put", "removed", "relocated")]
            except (BadRecord, KeyError, TypeError) as error:
                raise ledger_damaged(self._archive, f"{key.decode()}: {error}") from error
            entries.append(JournalEntry(int(key.removeprefix(b"journal/")), *ids))
        return entries

    def unreadable_records(self) -> Iterator[str]:
        """One sentence for each record whose checksum fails (reads the whole ledger)."""
        with leveldb_errors(self._archive):
            for key, record in self._db.iterator(include_value=True, verify_checksums=True):
                try:
                    encoding.unseal(key, record)
                except (BadRecord, NewerFormat) as error:
                    yield f"ledger record {key.decode(errors='replace')}: {error}"

    def _vectors(self, name: bytes, kind: bytes) -> NDArray[np.float16]:
        return encoding.unpack_vectors(self._payload(_vectors_key(name, kind)))

    def _keeps_sound(self) -> bool:
        return self.stamps()[1] is not None

    def _json(self, key: bytes) -> Any:
        try:
            return encoding.load_json(self._payload(key))
        except BadRecord as error:
            raise ledger_damaged(self._archive, f"{key.decode()}: {error}") from error

    def _payload(self, key: bytes) -> bytes:
        record = self._get(key)
        if record is None:
            raise BadRecord("missing")
        return encoding.unseal(key, record)

    def _get(self, key: bytes) -> bytes | None:
        with leveldb_errors(self._archive):
            return self._db.get(key, verify_checksums=True)


def ledger_exists(archive: Path) -> bool:
    """Whether the folder is an archive: it has a ledger, whatever state that is in."""
    return (archive / "ledger").is_dir()


@contextlib.contextmanager
def open_ledger(archive: Path) -> Iterator[Ledger]:
    """The ledger of an archive, closed at the end of the block; the caller holds the writer lock.

    If some other program has LevelDB's own lock, waits for it like for the writer lock.
    ArchiveDamaged, ArchiveFull, ArchiveReadOnly, ArchiveBusy.
    """
    patience = Patience(archive)
    while True:
        try:
            db = _leveldb().DB(
                str(archive / "ledger"),
                create_if_missing=False,
                paranoid_checks=True,  # a damaged log is reported, not silently shortened
                compression=None,  # float16 vectors do not compress
            )
            break
        except _leveldb().Error as error:
            if not leveldb_text(error).startswith("IO error: lock "):
                raise from_leveldb(archive, error) from error
        patience.wait()
    try:
        yield Ledger(archive, db)
    finally:
        db.close()


def create_ledger(archive: Path, stamp: EncoderStamp, sound: SoundStamp | None = None) -> None:
    """Make an empty ledger, whole or not at all; the caller holds the writer lock."""
    fresh = archive / "ledger.new"
    with os_errors(archive):
        shutil.rmtree(fresh, ignore_errors=True)
    with leveldb_errors(archive):
        db: LevelDB = _leveldb().DB(str(fresh), create_if_missing=True, error_if_exists=True)
        try:
            settings = stamps_to_json(stamp, sound)
            with db.write_batch(transaction=True, sync=True) as batch:
                for key, value in ((_SETTINGS, settings), (_GENERATION, 0)):
                    batch.put(key, encoding.seal(key, encoding.dump_json(value)))
        finally:
            db.close()
    with os_errors(archive):
        fresh.rename(archive / "ledger")
        files.sync_folder(archive)


@contextlib.contextmanager
def leveldb_errors(archive: Path) -> Iterator[None]:
    """Turn LevelDB's exceptions into those of storage/errors.py."""
    try:
        yield
    except _leveldb().Error as error:
        raise from_leveldb(archive, error) from error


def _leveldb() -> Any:
    """`plyvel` (or `plyvel-ci`), or its fork for newer Pythons; a search gets by without."""
    # mypy: neither has types, and which of the two is missing depends on the Python.
    try:
        import plyvel  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError:
        import plyvel_next as plyvel  # type: ignore[import-untyped,import-not-found,unused-ignore]
    return plyvel


def _keys_of(video_id: str, sound: bool) -> list[bytes]:
    name = video_id.encode()
    kinds = (b"clips", b"scenes", b"sounds", b"tags") if sound else (b"clips", b"scenes")
    return [
        b"video/" + name,
        b"membership/" + name,
        *(_vectors_key(name, kind) for kind in kinds),
    ]


def _vectors_key(name: bytes, kind: bytes) -> bytes:
    return b"embedding/" + name + b"/" + kind


def _payloads(item: IndexedVideo) -> Iterator[bytes]:
    """In the order of `_keys_of`, one after the other: those of a long film take room."""
    yield _video_payload(item.video)
    yield encoding.pack_membership(item)
    yield encoding.pack_vectors(item.clip_vectors)
    yield encoding.pack_vectors(item.scene_vectors)
    if item.sound is not None:
        yield encoding.pack_vectors(item.sound.vectors)
        yield encoding.pack_vectors(item.sound.tags)


def _video_payload(video: VideoRecord) -> bytes:
    return encoding.dump_json(encoding.video_to_json(video))


def _journal_key(generation: int) -> bytes:
    return b"journal/%020d" % generation


def _journal_value(change: Change) -> dict[str, list[str]]:
    return {
        "put": [item.video.video_id for item in change.put],
        "removed": list(change.removed),
        "relocated": [video.video_id for video in change.relocated],
    }


class WriteBatch(Protocol):
    """The part of plyvel's WriteBatch that is used here."""

    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def __enter__(self) -> WriteBatch: ...
    def __exit__(self, *error: object) -> None: ...


class LevelDB(Protocol):
    """The part of plyvel's DB that is used here."""

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None: ...
    def iterator(self, **options: Any) -> Iterator[Any]: ...
    def write_batch(self, *, transaction: bool, sync: bool) -> WriteBatch: ...
    def close(self) -> None: ...
