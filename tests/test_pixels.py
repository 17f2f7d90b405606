"""What is seen in a frame: upright, in its colours, from any pixel format, without combing."""

from __future__ import annotations

from pathlib import Path

import awkward_films
import films
import numpy as np
import pytest
from films import MadeFilm

from indexer.media import open_film


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pictures_are_upright(degrees: int, tmp_path: Path) -> None:
    made = awkward_films.turned(tmp_path, degrees)
    with open_film(made.path) as film:
        assert (film.info.width, film.info.height) == made.size
        assert film.info.rotation == degrees
        picture = next(film.frames()).picture_rgb(80, 48)
    assert picture.shape == (48, 80, 3)
    corners = picture[4, 4], picture[4, -4], picture[-4, 4], picture[-4, -4]
    assert [bool(corner[0] > 128) for corner in corners] == [True, False, False, False]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["601", "709", "2020"])
@pytest.mark.parametrize("colour", [(200, 40, 40), (30, 160, 60), (50, 70, 210)])
def test_colours_by_matrix_and_range(
    matrix: str, full_range: bool, colour: films.Rgb, tmp_path: Path
) -> None:
    assert_shows(awkward_films.measured_colour(tmp_path, colour, matrix, full_range), colour)


@pytest.mark.parametrize(("matrix", "height"), [("601", 576), ("709", 720)])
def test_an_unnamed_matrix_goes_by_height(matrix: str, height: int, tmp_path: Path) -> None:
    red = (200, 40, 40)
    made = awkward_films.measured_colour(tmp_path, red, matrix, False, tagged=False, height=height)
    assert_shows(made, red)


FORMATS = [
    ("ffv1", "yuv420p", "a.mkv"),
    ("ffv1", "yuv422p10le", "a.mkv"),
    ("ffv1", "yuv444p16le", "a.mkv"),
    ("ffv1", "yuv411p", "a.mkv"),
    ("ffv1", "yuva420p", "a.mkv"),
    ("ffv1", "bgr0", "a.mkv"),
    ("ffv1", "gbrp10le", "a.mkv"),
    ("rawvideo", "nv12", "a.nut"),
    ("rawvideo", "nv21", "a.nut"),
    ("rawvideo", "yuyv422", "a.avi"),
    ("rawvideo", "bgr24", "a.avi"),
    ("rawvideo", "argb", "a.nut"),
    ("rawvideo", "rgb565le", "a.nut"),
    ("prores_ks", "yuv422p10le", "a.mov"),
    ("v210", "yuv422p10le", "a.mov"),
    ("mjpeg", "yuvj422p", "a.avi"),
    ("mpeg2video", "yuv420p", "a.mpg"),
    ("libx264", "yuv420p10le", "a.mp4"),
    ("libvpx-vp9", "yuv420p", "a.webm"),
    ("qtrle", "rgb24", "a.mov"),
]


@pytest.mark.parametrize(("codec", "pixel_format", "name"), FORMATS)
def test_pixel_formats(codec: str, pixel_format: str, name: str, tmp_path: Path) -> None:
    red = (200, 40, 40)
    path = films.write(
        tmp_path / name, [films.plain(red)] * 2, codec=codec, pixel_format=pixel_format
    )
    assert_shows(MadeFilm(path), red)


def test_gray_film(tmp_path: Path) -> None:
    path = films.write(
        tmp_path / "gray.mkv", [films.plain((90, 90, 90))], codec="ffv1", pixel_format="gray10le"
    )
    assert_shows(MadeFilm(path), (90, 90, 90))


@pytest.mark.parametrize("size", [(2, 2), (1, 1), (51, 37), (3000, 4), (6, 500)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    path = films.write(
        tmp_path / "odd.mkv", [films.plain((200, 40, 40), *size)], codec="ffv1", pixel_format="bgr0"
    )
    assert_shows(MadeFilm(path), (200, 40, 40))


def assert_shows(made: MadeFilm, colour: films.Rgb) -> None:
    """The picture has that colour all over, and so, roughly, has the thumbnail."""
    with open_film(made.path) as film:
        frame = next(film.frames())
        picture, thumbnail = frame.picture_rgb(20, 20), frame.thumbnail_bgr()
    assert picture.dtype == thumbnail.dtype == np.uint8
    assert np.abs(picture.astype(int) - colour).max() <= 5
    assert np.abs(thumbnail[..., ::-1].astype(int) - colour).max() <= 25


def test_fine_detail_is_smoothed_not_sampled(tmp_path: Path) -> None:
    chess = np.indices((480, 640)).sum(axis=0) % 2 * 255
    picture = np.repeat(chess[..., None], 3, axis=2).astype(np.uint8)
    path = films.write(tmp_path / "chess.mkv", [picture], codec="ffv1", pixel_format="bgr0")
    with open_film(path) as film:
        shrunk = next(film.frames()).picture_rgb(260, 260)
    assert shrunk.min() > 110 and shrunk.max() < 145


def test_one_field_of_an_interlaced_film(tmp_path: Path) -> None:
    with open_film(awkward_films.interlaced(tmp_path).path) as film:
        assert film.info.interlaced
        frame = next(film.frames())
        assert frame.picture_rgb(100, 100).mean() > 240
        assert frame.thumbnail_bgr().mean() > 240


def test_thumbnails_keep_their_size_when_the_film_changes_its_own(tmp_path: Path) -> None:
    with open_film(awkward_films.size_changes(tmp_path).path) as film:
        assert {frame.thumbnail_bgr().shape for frame in film.frames()} == {(96, 160, 3)}


def test_frames_outlive_the_film(tmp_path: Path) -> None:
    with open_film(films.shots(tmp_path, (1.0,)).path) as film:
        frame = next(film.frames())
    assert frame.picture_rgb(8, 8).shape == (8, 8, 3)
