"""Files that are no films, and films that are damaged: a sentence, or what there is of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import awkward_films
import films
import numpy as np
import pytest
from films import MadeFilm

from indexer.media import open_film
from storage.errors import MediaError, MediaNotFound, NotAVideo, UnreadableMedia

Maker = Callable[[Path], MadeFilm]


def refusal(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        open_film(path)
    return str(caught.value)


# Refusals: each one sentence with what to do


def text_file(folder: Path) -> MadeFilm:
    (folder / "notes.mp4").write_text("Not a film.\n" * 50)
    return MadeFilm(folder / "notes.mp4")


def playlist(folder: Path) -> MadeFilm:
    (folder / "live.m3u8").write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    return MadeFilm(folder / "live.m3u8")


def empty_file(folder: Path) -> MadeFilm:
    (folder / "empty.mp4").touch()
    return MadeFilm(folder / "empty.mp4")


def noise(folder: Path) -> MadeFilm:
    (folder / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(20_000))
    return MadeFilm(folder / "noise.mp4")


REFUSALS: list[tuple[Maker, type[MediaError], str]] = [
    (lambda folder: MadeFilm(folder / "absent.mp4"), MediaNotFound, "check the spelling"),
    (lambda folder: MadeFilm(folder), MediaNotFound, "--recursive"),
    (empty_file, NotAVideo, "copy it again"),
    (text_file, NotAVideo, "text file"),
    (playlist, NotAVideo, "playlist"),
    (noise, NotAVideo, "convert it"),
    (films.sound_only, NotAVideo, "sound only"),
    (lambda folder: films.sound_only(folder, cover=True), NotAVideo, "cover picture"),
    (films.still, NotAVideo, "still picture"),
    (lambda folder: films.still(folder, "still.jpg"), NotAVideo, "still picture"),
    (lambda folder: films.cut_off(films.shots(folder)), UnreadableMedia, "cut off"),
    (awkward_films.without_decoder, UnreadableMedia, "convert it"),
    (
        lambda folder: films.damaged(films.shots(folder, (0.4,)), range(10)),
        UnreadableMedia,
        "no frame of it can be decoded",
    ),
]


@pytest.mark.parametrize(("make", "kind", "advice"), REFUSALS)
def test_refusals(make: Maker, kind: type[MediaError], advice: str, tmp_path: Path) -> None:
    path = make(tmp_path).path
    sentence = refusal(path)
    assert str(path) in sentence and advice in sentence and "\n" not in sentence
    with pytest.raises(kind):
        open_film(path)


def test_a_still_picture_by_another_name(tmp_path: Path) -> None:
    path = films.still(tmp_path).path.rename(tmp_path / "film.mp4")
    assert "still picture" in refusal(path)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = films.one_frame(tmp_path).path
    path.chmod(0)
    with not_root():
        assert "permissions" in refusal(path)


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything: be somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["a:b.mp4", "100%03d.mp4", "-i.mp4", "été \udcff.mp4", "[x]*.mp4"])
def test_any_file_name(name: str, tmp_path: Path) -> None:
    path = films.one_frame(tmp_path).path.rename(tmp_path / name)
    with open_film(path) as film:
        assert [frame.time_s for frame in film.frames()] == [0.0]


# Damage


@pytest.mark.parametrize(
    "made_of",
    [
        {"name": "film.mp4"},
        {"name": "film.avi", "codec": "mjpeg", "pixel_format": "yuvj420p"},
    ],
    ids=["H.264", "MJPEG"],
)
def test_unreadable_packets_are_skipped_and_counted(
    made_of: dict[str, str], tmp_path: Path
) -> None:
    made = films.damaged(films.shots(tmp_path, **made_of), [60, 61, 62])  # type: ignore[arg-type]
    with open_film(made.path) as film:
        frames = sum(1 for _ in film.frames())
        assert film.unreadable_packets == 3
        assert film.first_unreadable_s == pytest.approx(2.4, abs=0.5)
        assert film.notes == ("3 packets unreadable near 0:02",)
    assert frames == len(made.times_s) - 3


def test_a_hole_is_told(tmp_path: Path) -> None:
    """Matroska's reader jumps over garbage to the next cluster without an error."""
    made = films.damaged(films.shots(tmp_path, name="film.mkv"), [60, 61, 62])
    with open_film(made.path) as film:
        times = [frame.time_s for frame in film.frames()]
        assert "no pictures from 0:02" in " ".join(film.notes)
    assert times[-1] == pytest.approx(made.times_s[-1])


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_what_there_is_of_a_broken_copy_is_kept(name: str, tmp_path: Path) -> None:
    whole = films.shots(tmp_path, name=name, file_options={"movflags": "faststart"})
    with open_film(films.cut_off(whole).path) as film:
        frames = sum(1 for _ in film.frames())
        notes = " ".join(film.notes)
        assert film.end_s == pytest.approx(frames / 25, abs=0.05)
    assert 50 < frames < 150
    assert "though the file claims 0:06" in notes


def test_tracks_that_appear_late(tmp_path: Path) -> None:
    """A broadcast whose sound, and so its list of tracks, starts in the middle."""
    parts = [
        films.shots(tmp_path, (8.0,), name="silent.ts").path.read_bytes(),
        films.shots(tmp_path, (1.0,), name="sound.ts", wave=films.tone(1.0)).path.read_bytes(),
    ]
    path = tmp_path / "late.ts"
    path.write_bytes(b"".join(parts))
    with open_film(path) as film:
        assert sum(1 for _ in film.frames()) >= 220
