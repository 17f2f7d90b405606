"""What `index add` does with each file: skip it, note that it moved, or index it.

A video is known by the checksum of its content. Several runs on one archive share the work: the
video that another run has claimed is left to it, and looked at again at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from indexer.encoders.base import ImageEncoder
from indexer.listening import SoundEncoder
from indexer.media import open_film
from indexer.pipeline import Fixity, IndexSettings, Progress, index_film
from storage.archive import Archive
from storage.errors import MediaError, MediaNotFound, UnreadableMedia, VideoNotFound
from storage.records import IndexedVideo, Location, VideoRecord

_CLAIM_RETRY_S = 0.5


class Outcome(Enum):
    """How the handling of one file ended."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    MOVED = "moved"
    COPY = "already known"
    FAILED = "failed"


@dataclass(frozen=True)
class Handled:
    """One file, and what became of it."""

    path: Path
    outcome: Outcome
    video: VideoRecord | None = None
    """The archive's record; None where the file failed."""
    scenes: int = 0
    clips: int = 0
    took_s: float = 0.0
    """Wall time of decoding and encoding."""
    earlier_path: str | None = None
    """Where the same content lay, or lies, for MOVED and COPY."""
    error: MediaError | None = None


ProgressFor = Callable[[Path, float | None], AbstractContextManager[Progress]]
"""Given a path and its length in seconds if known, shows the progress of that one video."""


class Intake:
    """Brings files into one archive with one encoder."""

    def __init__(
        self,
        archive: Archive,
        encoder: ImageEncoder,
        settings: IndexSettings,
        progress_for: ProgressFor,
        again: bool = False,
        sound: SoundEncoder | None = None,
    ) -> None:
        """
        Arguments:
            again: index also what is in the archive already, with the settings given here.
            sound: encodes what is heard; given exactly if the archive keeps sound.
        """
        self._archive = archive
        self._encoder = encoder
        self._settings = settings
        self._progress_for = progress_for
        self._again = again
        self._sound = sound

    def add(self, paths: Iterable[Path]) -> Iterator[Handled]:
        """Handle each file in turn; yields as each is done.

        A file that cannot be indexed is yielded as FAILED and the run goes on. Errors of the
        archive itself are raised.
        """
        waiting: list[Fixity] = []
        known_places = {
            place: video
            for _, video in self._archive.snapshot().live_videos()
            for place in video.locations
        }
        for path in paths:
            try:
                location = _locate(path)
                if location in known_places and not self._again:
                    yield Handled(path, Outcome.UNCHANGED, known_places[location])
                    continue
                open_film(path).close()  # refuse what is no film before all of it is read
                fixity = Fixity(location, _checksum(path))
                handled = self._claim_and_index(fixity)
            except MediaError as error:
                handled = Handled(path, Outcome.FAILED, error=error)
            if handled is None:
                waiting.append(fixity)
            else:
                yield handled
        for fixity in waiting:
            yield self._await(fixity)

    def _await(self, fixity: Fixity) -> Handled:
        """Handle a video that another run had claimed, once that run is through with it."""
        while True:
            try:
                handled = self._claim_and_index(fixity)
            except MediaError as error:
                return Handled(Path(fixity.location.path), Outcome.FAILED, error=error)
            if handled is not None:
                return handled
            time.sleep(_CLAIM_RETRY_S)

    def _claim_and_index(self, fixity: Fixity) -> Handled | None:
        """Handle one file of known content; None while another run has claimed it."""
        with self._archive.claim(fixity.video_id) as claimed:
            if not claimed:
                return None
            videos = [video for _, video in self._archive.snapshot().live_videos()]
            known = next((v for v in videos if v.video_id == fixity.video_id), None)
            if known is not None and not self._again:
                handled = self._note_location(known, fixity.location)
            else:
                handled = self._index(fixity, known.locations if known else ())
            self._forget_earlier_content(fixity, videos)
            return handled

    def _index(self, fixity: Fixity, copies: tuple[Location, ...]) -> Handled:
        path = Path(fixity.location.path)
        began = time.monotonic()
        with (
            open_film(path, with_sound=self._sound is not None) as film,
            self._progress_for(path, film.info.duration_s) as progress,
        ):
            indexed = index_film(film, fixity, self._encoder, self._settings, progress, self._sound)
        if _locate(path) != fixity.location:
            raise UnreadableMedia(
                f"{path} changed while it was being read: add it again when it is complete."
            )
        others = tuple(place for place in copies if place.path != fixity.location.path)
        video = replace(indexed.video, locations=(fixity.location, *others))
        indexed = replace(indexed, video=video)
        self._archive.add(indexed)
        return _handled_as_new(path, indexed, time.monotonic() - began)

    def _note_location(self, known: VideoRecord, location: Location) -> Handled:
        """The content is in the archive already: remember where else, or where now, it lies."""
        path = Path(location.path)
        others = tuple(other for other in known.locations if other.path != location.path)
        if len(others) < len(known.locations):  # same path, same content, another date
            self._archive.relocate(known.video_id, (location, *others))
            return Handled(path, Outcome.UNCHANGED, known)
        alive = tuple(other for other in others if Path(other.path).exists())
        locations = (*alive, location)
        self._archive.relocate(known.video_id, locations)
        return Handled(
            path,
            Outcome.COPY if alive else Outcome.MOVED,
            replace(known, locations=locations),
            earlier_path=(alive or others)[0].path,
        )

    def _forget_earlier_content(self, fixity: Fixity, videos: Iterable[VideoRecord]) -> None:
        """Take this path away from any video that lay here before and was overwritten."""
        for video in videos:
            if video.video_id == fixity.video_id:
                continue
            kept = tuple(o for o in video.locations if o.path != fixity.location.path)
            with contextlib.suppress(VideoNotFound):  # another run may have been quicker
                if not kept:
                    self._archive.remove(video.video_id)
                elif len(kept) < len(video.locations):
                    self._archive.relocate(video.video_id, kept)


def _handled_as_new(path: Path, indexed: IndexedVideo, took_s: float) -> Handled:
    return Handled(
        path,
        Outcome.INDEXED,
        indexed.video,
        scenes=len(indexed.scenes),
        clips=len(indexed.clip_times_s),
        took_s=took_s,
    )


def _locate(path: Path) -> Location:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise MediaNotFound(f"{path} does not exist: check the spelling.") from None
    except OSError as error:
        raise UnreadableMedia(f"{path} cannot be read ({error.strerror}).") from error
    return Location(str(path), stat.st_size, stat.st_mtime_ns)


def _checksum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableMedia(
            f"{path} cannot be read ({error.strerror}): check the permissions and the disk."
        ) from error
