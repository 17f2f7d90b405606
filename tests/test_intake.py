"""What `index add` makes of files that were added, moved, copied, changed, or claimed before."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import films
import pytest
from fakes import STAMP, ColourEncoder, ColourWords

from indexer.finding import find_files
from indexer.intake import Handled, Intake, Outcome
from indexer.pipeline import IndexSettings
from indexer.scenes import DEFAULT
from search.moments.watershed import Watershed
from search.searcher import Searcher
from storage.archive import Archive
from storage.errors import MediaNotFound


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "dbs"


def add(
    db: Path, *paths: Path, encoder: ColourEncoder | None = None, again: bool = False
) -> list[Handled]:
    intake = Intake(
        Archive.create_or_open(db, STAMP),
        encoder or ColourEncoder(),
        IndexSettings(DEFAULT),
        lambda _path, _duration_s: nullcontext(lambda _position_s: None),
        again,
    )
    return list(intake.add(paths))


def paths_in(db: Path) -> list[str]:
    return sorted(Path(v.path).name for _, v in Archive.open(db).snapshot().live_videos())


def test_a_known_moment_is_found_where_it_is(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path, lengths_s=(6.0, 5.0, 7.0))
    add(db, film.path)
    hits = Searcher(Archive.open(db).snapshot(), ColourWords(), Watershed()).moments("blue", 3)
    assert (hits[0].start_s, hits[0].end_s) == pytest.approx((6.0, 11.0))
    assert hits[0].scene == 2


def test_unchanged_files_are_neither_read_nor_encoded_again(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path
    add(db, film)
    film.chmod(0o000)
    try:
        encoder = ColourEncoder()
        (handled,) = add(db, film, encoder=encoder)
    finally:
        film.chmod(0o600)
    assert handled.outcome is Outcome.UNCHANGED
    assert encoder.encoded == 0


def test_a_moved_file_keeps_its_vectors(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path
    add(db, film)
    moved = film.rename(tmp_path / "renamed.mp4")
    encoder = ColourEncoder()
    (handled,) = add(db, moved, encoder=encoder)
    assert handled.outcome is Outcome.MOVED
    assert handled.earlier_path == str(film)
    assert encoder.encoded == 0
    assert paths_in(db) == ["renamed.mp4"]


def test_a_copy_is_the_same_video_at_two_places(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path
    copy = Path(shutil.copy(film, tmp_path / "copy.mp4"))
    assert [h.outcome for h in add(db, film, copy)] == [Outcome.INDEXED, Outcome.COPY]
    assert [h.outcome for h in add(db, film, copy)] == [Outcome.UNCHANGED] * 2
    ((_, video),) = Archive.open(db).snapshot().live_videos()
    assert [Path(place.path).name for place in video.locations] == ["shots.mp4", "copy.mp4"]


def test_a_file_that_was_changed_replaces_what_lay_there(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path, lengths_s=(2.0, 2.0)).path
    add(db, film)
    films.shots(tmp_path, lengths_s=(3.0, 1.0))
    (handled,) = add(db, film)
    assert handled.outcome is Outcome.INDEXED
    ((_, video),) = Archive.open(db).snapshot().live_videos()
    assert handled.video is not None and video.sha256 == handled.video.sha256


def test_a_file_that_was_overwritten_by_a_copy_of_another(db: Path, tmp_path: Path) -> None:
    one = films.shots(tmp_path, lengths_s=(2.0,), name="one.mp4").path
    other = films.shots(tmp_path, lengths_s=(3.0,), name="other.mp4").path
    add(db, one, other)
    shutil.copy(other, one)
    assert [handled.outcome for handled in add(db, one)] == [Outcome.COPY]
    ((_, video),) = Archive.open(db).snapshot().live_videos()
    assert [Path(place.path).name for place in video.locations] == ["other.mp4", "one.mp4"]


def test_a_file_that_was_only_touched_is_not_indexed_again(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path
    add(db, film)
    film.touch()
    encoder = ColourEncoder()
    (handled,) = add(db, film, encoder=encoder)
    assert (handled.outcome, encoder.encoded) == (Outcome.UNCHANGED, 0)


def test_one_bad_file_does_not_stop_the_others(db: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no film")
    outcomes = [
        handled.outcome
        for handled in add(db, bad, tmp_path / "missing.mp4", films.shots(tmp_path).path)
    ]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.INDEXED]


def test_a_file_that_grows_while_it_is_read_is_not_taken(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path

    class Meanwhile(ColourEncoder):
        def encode(self, pictures):  # type: ignore[no-untyped-def]
            with film.open("ab") as file:
                file.write(b"more")
            return super().encode(pictures)

    (handled,) = add(db, film, encoder=Meanwhile())
    assert handled.outcome is Outcome.FAILED
    assert "changed while" in str(handled.error)
    assert paths_in(db) == []


def test_a_video_that_another_run_has_claimed_is_waited_for(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path
    archive = Archive.create_or_open(db, STAMP)
    video_id = _sha256(film)[:32]
    result: list[Handled] = []
    with archive.claim(video_id) as claimed:
        assert claimed
        thread = threading.Thread(target=lambda: result.extend(add(db, film)))
        thread.start()
        time.sleep(1.0)
        assert result == [] and paths_in(db) == []
    thread.join(30)
    assert [handled.outcome for handled in result] == [Outcome.INDEXED]


def test_two_runs_share_the_work_and_lose_nothing(db: Path, tmp_path: Path) -> None:
    made = [
        films.shots(tmp_path, lengths_s=(1.0 + n / 5,), name=f"film{n}.mp4").path for n in range(6)
    ]
    encoders = [ColourEncoder(), ColourEncoder()]
    results: list[list[Handled]] = [[], []]
    threads = [
        threading.Thread(
            target=lambda n=n: results[n].extend(add(db, *made, encoder=encoders[n]))  # type: ignore[misc]
        )
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert paths_in(db) == [f"film{n}.mp4" for n in range(6)]
    indexed = [h for handled in results for h in handled if h.outcome is Outcome.INDEXED]
    assert len(indexed) == 6  # each film once, by either run


def test_folders_are_searched_without_rubbish_and_without_the_archive(
    db: Path, tmp_path: Path
) -> None:
    for name in ("b.MP4", "a.mkv", ".hidden.mp4", "notes.txt", "sub/c.mov", ".git/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (db / "ledger").mkdir(parents=True)
    (db / "ledger" / "e.mp4").touch()
    found = find_files([tmp_path], recursive=True, archive=db)
    assert found.unreadable == []
    assert [path.relative_to(tmp_path).as_posix() for path in found.files] == [
        "a.mkv", "b.MP4", "sub/c.mov",
    ]  # fmt: skip
    with pytest.raises(MediaNotFound, match="--recursive"):
        find_files([tmp_path], recursive=False, archive=db)


def test_linked_folders_are_followed_once(db: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.mp4").touch()
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "disk")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "linked").symlink_to(tmp_path / "disk")
    found = find_files([tmp_path / "films"], recursive=True, archive=db)
    assert found.files == [tmp_path / "films" / "linked" / "a.mp4"]


def test_a_folder_that_may_not_be_read_is_named(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (tmp_path / "open.mp4").touch()
    scandir = os.scandir

    def guarded(path: str):  # type: ignore[no-untyped-def]
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = find_files([tmp_path], recursive=True, archive=db)
    assert found.files == [tmp_path / "open.mp4"]
    (error,) = found.unreadable
    assert str(closed) in str(error) and "Permission denied" in str(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_what_is_no_regular_file_is_refused_unread(db: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (handled,) = add(db, tmp_path / "pipe.mp4")
    assert handled.outcome is Outcome.FAILED
    assert "not a regular file" in str(handled.error)


def test_again_indexes_anew_and_keeps_the_copies(db: Path, tmp_path: Path) -> None:
    film = films.shots(tmp_path).path
    add(db, film, Path(shutil.copy(film, tmp_path / "copy.mp4")))
    encoder = ColourEncoder()
    (handled,) = add(db, film, encoder=encoder, again=True)
    assert handled.outcome is Outcome.INDEXED and encoder.encoded > 0
    ((_, video),) = Archive.open(db).snapshot().live_videos()
    assert [Path(place.path).name for place in video.locations] == ["shots.mp4", "copy.mp4"]


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
