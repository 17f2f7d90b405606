"""Cuts: where a user would put them, and the same as PySceneDetect finds by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import films
import numpy as np
import pytest
from films import MadeFilm, measuring_set
from numpy.typing import NDArray
from scenedetect import SceneManager, open_video
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from indexer import scenes
from indexer.media import open_film
from indexer.scenes import ADAPTIVE, CONTENT_27, CONTENT_31, SceneCutter, SceneSettings

PRESETS = [CONTENT_27, CONTENT_31, ADAPTIVE]


def cuts_of(path: Path, settings: SceneSettings) -> list[float]:
    with open_film(path) as film:
        cutter = SceneCutter(settings, film.info.frame_rate)
        cuts = []
        for frame in film.frames():
            cuts += cutter.push(frame.time_s, frame.thumbnail_bgr())
        return cuts + cutter.finish()


@pytest.mark.parametrize("settings", PRESETS, ids=str)
@pytest.mark.parametrize(
    "make",
    [
        films.shots,
        films.variable_rate,
        films.transport_stream,
        lambda folder: films.shots(folder, (2.0, 1.0, 3.0), Fraction(30000, 1001)),
        lambda folder: films.shots(
            folder, name="10bit.mkv", codec="ffv1", pixel_format="yuv422p10le"
        ),
        lambda folder: films.shots(
            folder, name="bgr.mkv", codec="ffv1", pixel_format="bgr0", size=(63, 49)
        ),
        lambda folder: films.shots(
            folder, name="rare.avi", codec="rawvideo", pixel_format="yuyv422"
        ),
        lambda folder: films.long_film(folder, 200.0),
        films.one_frame,
    ],
    ids=["25", "VFR", "TS", "29.97", "10-bit", "RGB, odd size", "swscale", "3 minutes", "1 frame"],
)
def test_every_cut_at_the_first_frame_of_the_new_shot(
    make: Callable[[Path], MadeFilm], settings: SceneSettings, tmp_path: Path
) -> None:
    made = make(tmp_path)
    assert cuts_of(made.path, settings) == pytest.approx(list(made.cuts_s), abs=1e-3)


def test_a_cut_is_told_by_the_very_time_that_was_given() -> None:
    cutter = SceneCutter(CONTENT_31, Fraction(30000, 1001))
    times = [number * 1001 / 30000 for number in range(90)]
    cuts = []
    for number, time_s in enumerate(times):
        cuts += cutter.push(time_s, films.texture(films.COLOURS[number // 45], number))
    assert cuts == [times[45]]


def test_a_change_of_picture_size_is_survived() -> None:
    cutter = SceneCutter(CONTENT_31, Fraction(25))
    for number in range(50):
        width = 160 if number < 25 else 320
        cutter.push(number / 25, films.texture(films.COLOURS[0], number, width, width // 2))


@pytest.mark.parametrize("settings", PRESETS, ids=str)
def test_cuts_come_late_by_no_more_than_is_said(settings: SceneSettings) -> None:
    random = np.random.default_rng(7)
    cutter = SceneCutter(settings, Fraction(25))
    colour = films.COLOURS[0]
    late_by = [0.0]
    for number in range(3000):
        if random.random() < 0.12:  # bursts of flashes as well as scenes
            colour = films.COLOURS[random.integers(len(films.COLOURS))]
        now_s = number / 25
        for cut_s in cutter.push(now_s, films.texture(colour, number, 32, 18)):
            late_by.append(now_s - 1 / 25 - cut_s)
    assert max(late_by) < cutter.max_lag_s


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("content27", CONTENT_27),
        ("content", CONTENT_31),
        ("content31", CONTENT_31),
        ("adaptive", ADAPTIVE),
        (" Adaptive:3 ", SceneSettings("adaptive", 3.0, 0.6, window=3)),
        ("content:40.5", SceneSettings("content", 40.5, 0.6)),
    ],
)
def test_settings_as_a_user_types_them(text: str, settings: SceneSettings) -> None:
    assert SceneSettings.parse(text) == settings


@pytest.mark.parametrize("text", ["", "hash", "content:", "content:x", "content:-1", "content:nan"])
def test_settings_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"content:31"):
        SceneSettings.parse(text)


# The same numbers as PySceneDetect's own code


def moving_pictures() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(3)
    return [
        *(random.integers(0, 256, (54, 96, 3), dtype=np.uint8) for _ in range(20)),
        *(films.texture(films.COLOURS[n // 5], n, 96, 54) for n in range(30)),
    ]


def real_pictures() -> list[NDArray[np.uint8]]:
    with open_film(measuring_set() / "clips" / "s099.webm") as film:
        return [frame.thumbnail_bgr() for frame in film.frames()]


@pytest.mark.parametrize("pictures", [moving_pictures, real_pictures])
@pytest.mark.parametrize(
    ("settings", "stock"),
    [
        (CONTENT_31, lambda: ContentDetector(31.0)),
        (ADAPTIVE, lambda: AdaptiveDetector(3.5, window_width=3)),
    ],
    ids=["content", "adaptive"],
)
def test_scores_are_bit_equal_to_the_stock_detectors(
    pictures: Callable[[], list[NDArray[np.uint8]]],
    settings: SceneSettings,
    stock: Callable[[], ContentDetector],
) -> None:
    """Fails loudly should a new PySceneDetect reckon otherwise."""
    ours, theirs = scenes._detector(settings), stock()
    for number, picture in enumerate(pictures()):
        moment = FrameTimecode(number, Fraction(25))
        ours.process_frame(moment, picture)
        theirs.process_frame(moment, picture)
        assert ours._frame_score == theirs._frame_score
        assert number == 0 or isinstance(ours._frame_score, float)


@pytest.mark.parametrize("settings", PRESETS, ids=str)
def test_same_cuts_as_pyscenedetect_on_made_films(settings: SceneSettings, tmp_path: Path) -> None:
    made = films.shots(tmp_path, (1.4, 0.2, 0.3, 2.0, 0.6, 0.8, 1.0), size=(320, 180))
    assert cuts_of(made.path, settings) == pytest.approx(stock_cuts(made.path, settings))


@pytest.mark.footage
@pytest.mark.parametrize("settings", PRESETS, ids=str)
@pytest.mark.parametrize("name", ["s001.mp4", "s030.mp4", "s091.mp4", "s027.mpg", "s089.m4v"])
def test_same_cuts_as_pyscenedetect_on_real_clips(name: str, settings: SceneSettings) -> None:
    path = measuring_set() / "clips" / name
    with open_film(path) as film:
        first_s = next(film.frames()).time_s
    expected = [cut_s + first_s for cut_s in stock_cuts(path, settings)]
    assert cuts_of(path, settings) == pytest.approx(expected, abs=1e-3)


def stock_cuts(path: Path, settings: SceneSettings) -> list[float]:
    """By PySceneDetect's own decoding, scaling and detectors, from the first frame on."""
    if settings.detector == "adaptive":
        detector = AdaptiveDetector(
            settings.threshold, settings.min_length, window_width=settings.window
        )
    else:
        detector = ContentDetector(settings.threshold, settings.min_length)
    manager = SceneManager()
    manager.add_detector(detector)
    manager.detect_scenes(open_video(str(path), backend="pyav", suppress_output=True))
    return [start.seconds for start, _ in manager.get_scene_list()[1:]]


@pytest.mark.footage
def test_hard_cuts_of_real_clips_are_found() -> None:
    """A floor under benchmarks/scenes.py, on the five clips with most cuts."""
    folder = measuring_set()
    clips = json.loads((folder / "cuts.json").read_text())["clips"]
    names = sorted(clips, key=lambda name: -len(clips[name]["hard"]))[:5]
    true_s = [(name, cut_s) for name in names for cut_s in clips[name]["hard"]]
    found = {name: cuts_of(folder / name, scenes.DEFAULT) for name in names}
    hits = sum(any(abs(cut_s - seen) <= 0.081 for seen in found[name]) for name, cut_s in true_s)
    assert hits >= 0.8 * len(true_s)
