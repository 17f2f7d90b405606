"""The measuring set in archives: all clips in one, each tape in one of its own.

Every encoder indexes the footage once, as `index add` does for a new archive; all heads share the
archives, and whoever does without sound searches the same archive without its sound columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.contenders import Contender, Skipped, encoder_bundle, moment_head
from benchmarks.footage import Question, read_questions, tapes_in
from benchmarks.measures.truth import Case
from benchmarks.searches import Asker, RememberingEncoder, ThoroughSearcher
from indexer.encoders.choice import choose_sound, picture_encoder, sound_encoder
from indexer.intake import Intake, Outcome
from indexer.pipeline import IndexSettings
from indexer.scenes import DEFAULT
from search.moments.base import MomentHead
from search.text.choice import text_encoder
from storage.archive import Archive
from storage.bundles import EncoderBundle, SoundBundle
from storage.errors import BundleError
from storage.view import Snapshot

CLIPS = "clips"
"""The archive of all clips; the others are called as their tapes."""


@dataclass(frozen=True, eq=False)
class Footage:
    """The films and questions of a measuring set."""

    folder: Path
    clips: tuple[Path, ...]
    tapes: tuple[str, ...]
    questions: tuple[Question, ...]

    @classmethod
    def read(cls, folder: Path) -> Footage:
        """
        Raises:
            Skipped: there is no measuring set.
        """
        if not (folder / "queries.jsonl").exists():
            raise Skipped("There is no queries.jsonl: set REELSEEK_VIDEOS to the footage.")
        tapes = tapes_in(folder)
        clips = sorted((folder / "clips").iterdir()) if (folder / "clips").is_dir() else []
        return cls(folder, tuple(clips), tapes, tuple(read_questions(folder, tapes)))

    def smaller(self, clips: int) -> Footage:
        """The first clips, no tape but the first, and the questions that can be asked of them."""
        kept = self.clips[:clips]
        names = {self.name_of(clip) for clip in kept}
        questions = [
            replace(q, videos={file: w for file, w in q.videos.items() if file in names})
            for q in self.questions
            if not q.videos or not names.isdisjoint(q.videos)
        ]
        return replace(self, clips=kept, tapes=self.tapes[:1], questions=tuple(questions))

    def files(self, archive: str) -> Sequence[Path]:
        """The films of one archive."""
        return self.clips if archive == CLIPS else [self.folder / f"{archive}.mp4"]

    def name_of(self, path: Path | str) -> str:
        """A film as the questions call it: relative to the folder."""
        return Path(path).relative_to(self.folder.absolute()).as_posix()


@dataclass(eq=False)
class Library:
    """Archives of the footage by encoder, made when they are first asked for."""

    footage: Footage
    folder: Path
    """Of the archives; those of an earlier run are taken as they are."""
    no_part_1: str | None
    """Why lite 1.0 cannot be had."""
    notes: dict[str, str] = field(default_factory=dict)
    """Films that could not be indexed, and why."""
    _snapshots: dict[tuple[str, str], Snapshot] = field(default_factory=dict)
    _texts: dict[str, RememberingEncoder] = field(default_factory=dict)
    _askers: dict[tuple[Contender, str], Asker] = field(default_factory=dict)
    _heads: dict[Contender, MomentHead] = field(default_factory=dict)

    @property
    def archives(self) -> tuple[str, ...]:
        """Names of all archives."""
        return (CLIPS, *self.footage.tapes)

    def bundle(self, encoder: str) -> EncoderBundle:
        """Raises Skipped."""
        return encoder_bundle(encoder, self.no_part_1)

    def text(self, encoder: str) -> RememberingEncoder:
        """The text tower, which reads each sentence once."""
        if encoder not in self._texts:
            self._texts[encoder] = RememberingEncoder(text_encoder(self.bundle(encoder)))
        return self._texts[encoder]

    def snapshot(self, encoder: str, archive: str) -> Snapshot:
        """The archive, indexed with sound where a new archive would keep it; raises Skipped."""
        key = encoder, archive
        if key not in self._snapshots:
            bundle = self.bundle(encoder)
            sound, files = default_sound(bundle), self.footage.files(archive)
            made, failed = index(files, self.folder / place_of(files, bundle, sound), bundle, sound)
            here = f"{self.footage.folder.absolute()}/"
            self.notes |= {
                self.footage.name_of(path): reason.replace(here, "")
                for path, reason in failed.items()
            }
            self._snapshots[key] = made
        return self._snapshots[key]

    def asker(self, contender: Contender, archive: str) -> Asker:
        """Who puts questions to one archive; raises Skipped."""
        key = contender, archive
        if key not in self._askers:
            snapshot = self.snapshot(contender.encoder, archive)
            if contender.hears and snapshot.sound_stamp is None:
                raise Skipped(f"A new archive of {contender.encoder} keeps no sound here.")
            if not contender.hears:
                snapshot = replace(snapshot, sound_stamp=None, sound_vectors=None, sound_tags=None)
            head, bundle = self._head(contender), self.bundle(contender.encoder)
            searcher = ThoroughSearcher(snapshot, self.text(contender.encoder), head)
            self._askers[key] = Asker(searcher, head, bundle, self.footage.name_of)
        return self._askers[key]

    def head_id(self, contender: Contender) -> str:
        """The head as a listing calls it; raises Skipped."""
        return self._head(contender).head_id

    def _head(self, contender: Contender) -> MomentHead:
        if contender not in self._heads:
            bundle = self.bundle(contender.encoder)
            sound = default_sound(bundle) if contender.hears else None
            self._heads[contender] = moment_head(
                contender.head, bundle, sound.stamp if sound else None
            )
        return self._heads[contender]

    def cases(
        self, contender: Contender, archive: str, questions: Iterable[Question]
    ) -> list[Case]:
        """Put the questions to one archive; raises Skipped."""
        asker = self.asker(contender, archive)
        return [_case(asker, archive, question) for question in questions]


def _case(asker: Asker, archive: str, question: Question) -> Case:
    answer = asker.ask(question.text)
    if archive == CLIPS:
        return Case(question, question.videos, answer, question.maybe_videos)
    film = f"{archive}.mp4"
    windows, maybe = question.windows[archive], question.maybe_windows[archive]
    return Case(
        question,
        {film: windows} if windows else {},
        answer,
        {film: maybe} if maybe else {},
    )


def default_sound(encoder: EncoderBundle) -> SoundBundle | None:
    """The sound tower that `index add` takes for a new archive of this encoder; None where it takes
    none, or the one that it would take is not here."""
    try:
        return choose_sound(None, encoder, None)
    except BundleError:
        return None


def place_of(files: Sequence[Path], bundle: EncoderBundle, sound: SoundBundle | None) -> str:
    """A name for the archive of these files that changes with any of them, and with the towers."""
    towers = [str(bundle.stamp), str(sound.stamp) if sound else ""]
    identity = "\n".join([*towers, *(str(file.absolute()) for file in files)])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def index(
    files: Sequence[Path], db: Path, bundle: EncoderBundle, sound: SoundBundle | None
) -> tuple[Snapshot, dict[Path, str]]:
    """The archive of the given films, what is missing in it indexed, and why some are left out."""
    archive = Archive.create_or_open(db, bundle.stamp, sound.stamp if sound else None)
    intake = Intake(
        archive,
        picture_encoder(bundle),
        IndexSettings(DEFAULT),
        lambda _path, _duration_s: nullcontext(lambda _position_s: None),
        sound=sound_encoder(sound) if sound else None,
    )
    failed = {
        handled.path: str(handled.error)
        for handled in intake.add(files)
        if handled.outcome is Outcome.FAILED
    }
    return archive.snapshot(), failed
