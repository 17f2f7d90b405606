"""Frames of real and of numbered films, against those of the official VideoLoader.

`REELSEEK_FIXTURES` names the folder of recordings, made with the official code and ffmpeg 5.1.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from official_frames import official_count, official_frames, official_rate
from recordings import FIXTURES, cases_or_skip, read_arrays, recorded_file

from indexer.frame import Frame
from indexer.media import open_film
from indexer.sampling import ClipSampler


def is_turned(path: Path) -> bool:
    with open_film(path) as film:
        return film.info.rotation % 180 != 0


FOLDER = FIXTURES / "video_frames"
VIDEOS: dict[str, dict[str, Any]] = {
    name: facts
    for name, facts in json.loads(
        recorded_file("video_frames", "frames.json").read_text(encoding="utf-8")
    )["videos"].items()
    if (FOLDER / name).is_file()
}
TURNED = [name for name in VIDEOS if is_turned(FOLDER / name)]
UPRIGHT = [name for name in VIDEOS if name not in TURNED]
NUMBERED = [name for name, v in VIDEOS.items() if "source_frame_of_each_output" in v]
PICTURES = FOLDER / "frames.npz"
IS_RECORDED_SWSCALE = av.library_versions["libswscale"][0] == 9
"""libswscale 9 scales exactly as the recorded ffmpeg did."""


def each(names: list[str], what: str) -> pytest.MarkDecorator:
    """A test of every film of these."""
    found = cases_or_skip({name: name for name in names}, what, "video_frames")
    return pytest.mark.parametrize("name", found)


def recorded_pictures() -> dict[str, str]:
    """The whole frames that were recorded of a film that is there: `file/centre_crop_k`."""
    if not PICTURES.is_file():
        return {}
    names = (re.fullmatch(r"(.+)/(centre|no)_crop_\d+", key) for key in read_arrays(PICTURES))
    return {found[0]: found[0] for found in names if found and found[1] in VIDEOS}


def taken(name: str) -> list[Frame]:
    """The frames that the official loader takes."""
    claimed_s = VIDEOS[name]["official_probe"]["duration"]
    rate = official_rate(claimed_s)
    with open_film(FOLDER / name) as film:
        count = VIDEOS[name]["centre_crop"]["frames"]
        frames = official_frames(film.frames(), count, rate)
        assert count == official_count(film.end_s, rate)
        return frames


def number_in(frame: Frame) -> int:
    """The number that a synthetic frame shows: three grey bars of 16 + 14 · digit, base 16."""
    picture = frame.picture_rgb(90, 60)
    levels = [picture[10:50, 30 * bar + 10 : 30 * bar + 20].mean() for bar in range(3)]
    sixteens, fours, ones = (round((float(level) - 16) / 14) for level in levels)
    return 256 * sixteens + 16 * fours + ones


def assert_same_pixels(ours: NDArray[np.uint8], recorded: NDArray[np.uint8]) -> None:
    """Equal; with another libswscale a level apart in the mean."""
    assert ours.shape == recorded.shape and ours.dtype == recorded.dtype
    if IS_RECORDED_SWSCALE:
        assert np.array_equal(ours, recorded)
    else:
        assert np.abs(ours.astype(int) - recorded).mean() <= 1.0


@each(NUMBERED, "numbered films")
def test_the_official_frames_are_those_that_show_the_recorded_numbers(name: str) -> None:
    numbers = [number_in(frame) for frame in taken(name)]
    assert numbers == VIDEOS[name]["source_frame_of_each_output"]


@each(NUMBERED, "numbered films")
def test_clips_have_the_official_frames(name: str) -> None:
    """The last before each clip's centre.

    A film whose pictures begin late has clips from its first picture on; the official loader
    counts from zero and repeats a later picture for the time before.
    """
    official = VIDEOS[name]["source_frame_of_each_output"]
    clip_s = 1 / official_rate(VIDEOS[name]["official_probe"]["duration"])
    sampler: ClipSampler[Frame] = ClipSampler(clip_s)
    with open_film(FOLDER / name) as film:
        frames = list(film.frames())
    samples = [sample for frame in frames for sample in sampler.push(frame)]
    samples += sampler.finish(max(len(official), len(samples)))
    if film.start_s == 0.0:
        assert [number_in(sample.frame) for sample in samples[: len(official)]] == official
    for clip, sample in enumerate(samples):
        centre_s = film.start_s + (clip + 0.5) * clip_s
        before_s = [frame.time_s for frame in frames if frame.time_s < centre_s]
        assert sample.frame.time_s == before_s[-1]


@each(UPRIGHT, "upright films")
@pytest.mark.parametrize("crops", [True, False], ids=["centre crop", "whole"])
def test_every_frame_has_the_official_pixels(name: str, crops: bool) -> None:
    """All of them, by their checksum: (frames, channels, height, width) bytes."""
    recorded = VIDEOS[name]["centre_crop" if crops else "no_crop"]
    count, channels, height, width = recorded["shape_frames_channels_height_width"]
    frames = [frame.picture_rgb(width, height, "centre-crop") for frame in taken(name)]
    assert (len(frames), channels) == (count, 3)
    if not IS_RECORDED_SWSCALE:
        pytest.skip("the checksums are those of another libswscale's pixels")
    pixels = np.array(frames, np.uint8).reshape(count, height, width, 3).transpose(0, 3, 1, 2)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == recorded["sha256"]


@pytest.mark.parametrize("key", cases_or_skip(recorded_pictures(), "whole frames", "video_frames"))
def test_recorded_frames_are_ours(key: str) -> None:
    name, _, place = key.partition("/")
    if name not in UPRIGHT:
        pytest.skip("the official picture of a turned film is squeezed, ours is not")
    recorded = read_arrays(PICTURES)[key]
    height, width = recorded.shape[:2]
    frame = taken(name)[int(place.rpartition("_")[2])]
    assert_same_pixels(frame.picture_rgb(width, height, "centre-crop"), recorded)


@each(TURNED, "turned films")
def test_a_turned_film_gives_as_many_frames_as_officially(name: str) -> None:
    frames = taken(name)
    assert len(frames) == VIDEOS[name]["centre_crop"]["frames"]
    with open_film(FOLDER / name) as film:
        assert film.info.height > film.info.width  # upright, where the official one is squeezed
