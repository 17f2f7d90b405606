"""Pictures of any shape at the size that a network takes: squashed, cropped, or between bars."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import awkward_films
import films
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.fit import centre_crop, letterbox, still_crop
from indexer.frame import Frame
from indexer.media import open_film
from storage.bundles import FITS

RED = (200, 40, 40)
SIZES = st.tuples(st.integers(1, 8000), st.integers(1, 8000))
WANTED = st.integers(8, 448)


@given(SIZES, WANTED)
def test_a_crop_lies_within_the_scaled_picture_and_in_its_middle(
    size: tuple[int, int], n: int
) -> None:
    crop = centre_crop(size, (n, n))
    assert min(crop.scaled) == n
    for side, offset in zip(crop.scaled, (crop.left, crop.top), strict=True):
        assert 0 <= offset <= side - n
        assert 0 <= (side - n - offset) - offset <= 1


@given(SIZES, WANTED)
def test_a_crop_keeps_the_shape_of_all_but_strips(size: tuple[int, int], n: int) -> None:
    crop = centre_crop(size, (n, n))
    if max(size) > 16 * min(size):
        assert max(crop.scaled) <= 16 * n
    else:
        assert crop.share is None
        assert abs(max(crop.scaled) - n * max(size) / min(size)) < 1


@pytest.mark.parametrize(
    ("size", "scaled", "left", "top"),
    [
        ((1920, 1080), (398, 224), 87, 0),
        ((1080, 1920), (224, 398), 0, 87),
        ((640, 480), (298, 224), 37, 0),
        ((224, 224), (224, 224), 0, 0),
        ((227, 224), (227, 224), 1, 0),
    ],
)
def test_film_crops_round_down_as_run_on_video_does(
    size: tuple[int, int], scaled: tuple[int, int], left: int, top: int
) -> None:
    crop = centre_crop(size, (224, 224))
    assert (crop.scaled, crop.left, crop.top) == (scaled, left, top)


def test_crops_of_stills_round_half_to_even_as_torchvision_does() -> None:
    assert [still_crop((224 + more, 224), 224).left for more in range(8)] == [
        0, 0, 1, 2, 2, 2, 3, 4,
    ]  # fmt: skip


@given(SIZES, WANTED, st.fractions(Fraction(1, 2), Fraction(2)))
def test_a_letterboxed_picture_keeps_its_shape_and_touches_two_sides(
    size: tuple[int, int], n: int, pixel_aspect: Fraction
) -> None:
    box = letterbox(size, (n, n), pixel_aspect)
    assert n in (box.width, box.height)
    assert 0 <= box.left <= n - box.width and 0 <= box.top <= n - box.height
    shape = size[0] * pixel_aspect / size[1]
    half = Fraction(1, 2)
    assert abs(box.width - max(1, min(n, n * shape))) <= half
    assert abs(box.height - max(1, min(n, n / shape))) <= half


def test_a_tape_is_letterboxed_as_a_screen_shows_it() -> None:
    assert letterbox((720, 576), (224, 224), Fraction(64, 45)).height == 126  # 16:9
    assert letterbox((720, 576), (224, 224), Fraction(16, 15)).height == 168  # 4:3


def test_a_nonsense_pixel_aspect_is_not_believed() -> None:
    assert letterbox((640, 480), (224, 224), Fraction(1, 1000)) == letterbox((640, 480), (224, 224))


# What is in the pictures


def first_frame(path: Path) -> Frame:
    with open_film(path) as film:
        return next(film.frames())


def write_lossless(folder: Path, picture: films.Picture, name: str = "one.mkv") -> Path:
    return films.write(folder / name, [picture] * 2, codec="ffv1", pixel_format="bgr0")


@pytest.fixture
def wide(tmp_path: Path) -> Frame:
    """320 × 160: a blue strip at either end, a red square in the middle."""
    picture = films.plain((0, 0, 200), 320, 160)
    picture[:, 80:240] = RED
    return first_frame(write_lossless(tmp_path, picture))


def shows(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(picture.astype(int) - colour).max() <= 5)


def test_centre_crop_shows_the_middle_only(wide: Frame) -> None:
    assert shows(wide.picture_rgb(80, 80, "centre-crop")[:, 2:-2], RED)


def test_letterbox_shows_all_of_it_between_black_bars(wide: Frame) -> None:
    picture = wide.picture_rgb(80, 80, "letterbox")
    assert shows(picture[:20], (0, 0, 0)) and shows(picture[60:], (0, 0, 0))
    assert shows(picture[22:58, 2:18], (0, 0, 200)) and shows(picture[22:58, 22:58], RED)


def test_squash_shows_all_of_it_and_fills_the_square(wide: Frame) -> None:
    picture = wide.picture_rgb(80, 80, "squash")
    assert shows(picture[:, 2:18], (0, 0, 200)) and shows(picture[:, 22:58], RED)
    assert np.array_equal(picture, wide.picture_rgb(80, 80))


def test_a_fit_that_does_not_exist_is_refused(wide: Frame) -> None:
    with pytest.raises(ValueError, match="'stretch'"):
        wide.picture_rgb(80, 80, "stretch")


def test_an_anamorphic_frame_is_letterboxed_as_wide_as_it_is_shown(wide: Frame) -> None:
    shown = Frame(0.0, wide._picture, (256, 128), pixel_aspect=Fraction(2))  # 4:1 on a screen
    picture = shown.picture_rgb(80, 80, "letterbox")
    assert shows(picture[:30], (0, 0, 0)) and shows(picture[32:48, 22:58], RED)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_every_fit_shows_turned_films_upright(fit: str, degrees: int, tmp_path: Path) -> None:
    frame = first_frame(awkward_films.turned(tmp_path, degrees).path)  # 160 × 96, red top left
    picture = frame.picture_rgb(100, 100, fit)
    rows = picture[20:80] if fit == "letterbox" else picture
    corners = rows[6, 6], rows[6, -6], rows[-6, 6], rows[-6, -6]
    assert [bool(corner[0] > 128) for corner in corners] == [True, False, False, False]


def test_a_turned_film_is_cropped_as_the_same_film_stored_upright(tmp_path: Path) -> None:
    upright = first_frame(awkward_films.turned(tmp_path, 0).path).picture_rgb(64, 64, "centre-crop")
    for degrees in (90, 180, 270):
        turned = first_frame(awkward_films.turned(tmp_path, degrees).path)
        apart = np.abs(turned.picture_rgb(64, 64, "centre-crop").astype(int) - upright)
        assert apart.mean() < 2


@pytest.mark.parametrize("fit", ["centre-crop", "letterbox"])
def test_an_interlaced_frame_gives_one_instant(fit: str, tmp_path: Path) -> None:
    frame = first_frame(awkward_films.interlaced(tmp_path).path)  # one field white, one black
    picture = frame.picture_rgb(100, 100, fit)
    assert picture[12:88].mean() > 240


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["601", "709", "2020"])
def test_a_crop_has_the_colours_that_the_film_says(
    matrix: str, full_range: bool, tmp_path: Path
) -> None:
    for colour in ((200, 40, 40), (30, 160, 60), (50, 70, 210)):
        made = awkward_films.measured_colour(tmp_path, colour, matrix, full_range)
        assert shows(first_frame(made.path).picture_rgb(20, 20, "centre-crop"), colour)


def test_a_crop_takes_an_unnamed_matrix_for_601_as_ffmpeg_does(tmp_path: Path) -> None:
    made = awkward_films.measured_colour(tmp_path, RED, "601", False, tagged=False, height=720)
    assert shows(first_frame(made.path).picture_rgb(20, 20, "centre-crop"), RED)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [
        ("ffv1", "yuv420p", "a.mkv"),
        ("ffv1", "yuv422p10le", "a.mkv"),
        ("ffv1", "yuv444p16le", "a.mkv"),
        ("ffv1", "yuv411p", "a.mkv"),
        ("ffv1", "yuva420p", "a.mkv"),
        ("ffv1", "gbrp10le", "a.mkv"),
        ("rawvideo", "nv12", "a.nut"),
        ("rawvideo", "yuyv422", "a.avi"),
        ("rawvideo", "bgr24", "a.avi"),
        ("rawvideo", "argb", "a.nut"),
        ("rawvideo", "rgb565le", "a.nut"),
        ("prores_ks", "yuv422p10le", "a.mov"),
        ("mjpeg", "yuvj422p", "a.avi"),
    ],
)
def test_crops_of_all_pixel_formats(
    codec: str, pixel_format: str, name: str, tmp_path: Path
) -> None:
    path = films.write(
        tmp_path / name, [films.plain(RED)] * 2, codec=codec, pixel_format=pixel_format
    )
    assert shows(first_frame(path).picture_rgb(20, 20, "centre-crop"), RED)


def test_crops_of_a_gray_film(tmp_path: Path) -> None:
    gray = films.plain((90, 90, 90))
    path = films.write(tmp_path / "gray.mkv", [gray], codec="ffv1", pixel_format="gray10le")
    assert shows(first_frame(path).picture_rgb(20, 20, "centre-crop"), (90, 90, 90))


@pytest.mark.parametrize("fit", ["centre-crop", "letterbox"])
@pytest.mark.parametrize("size", [(2, 2), (1, 1), (51, 37), (3000, 4), (6, 500), (8000, 1)])
def test_odd_sizes(size: tuple[int, int], fit: str, tmp_path: Path) -> None:
    frame = first_frame(write_lossless(tmp_path, films.plain(RED, *size)))
    picture = frame.picture_rgb(32, 32, fit)
    assert picture.shape == (32, 32, 3)
    across = picture[:, 16] if size[0] > size[1] else picture[16]
    assert any(shows(pixel, RED) for pixel in across)


def test_a_film_that_changes_its_size_is_cropped_all_along(tmp_path: Path) -> None:
    with open_film(awkward_films.size_changes(tmp_path).path) as film:
        assert {f.picture_rgb(32, 32, "centre-crop").shape for f in film.frames()} == {(32, 32, 3)}


def test_threads_do_not_disturb_each_other(wide: Frame, tmp_path: Path) -> None:
    tall = first_frame(write_lossless(tmp_path, films.texture(RED, 3, 90, 200), "tall.mkv"))
    expected = [frame.picture_rgb(64, 64, "centre-crop") for frame in (wide, tall)]
    wrong: list[int] = []

    def look(start: int) -> None:
        for turn in range(start, start + 50):
            seen = (wide, tall)[turn % 2].picture_rgb(64, 64, "centre-crop")
            if not np.array_equal(seen, expected[turn % 2]):
                wrong.append(turn)

    threads = [threading.Thread(target=look, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
