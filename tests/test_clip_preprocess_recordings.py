"""Pictures for CLIP, against what openai/CLIP and run_on_video make of the same ones.

`REELSEEK_FIXTURES` names the folder of recordings, made with the official code.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clip_folders import CLIP_MEAN, CLIP_STD, as_bundle, random_clip
from numpy.typing import NDArray
from official_frames import official_count, official_frames, official_rate
from recordings import (
    case_files,
    case_folders,
    cases_or_skip,
    folders_or_skip,
    has_arrays,
    read_arrays,
    read_case,
    stated_atol,
)

from indexer.fit import centre_crop
from indexer.frame import Frame, cropped_rgb, quarter_turns
from indexer.media import open_film
from indexer.sampling import ClipSampler

FAMILY = "clip_preprocess"
RECORDED_SWSCALE = 9
"""Of libswscale 9 it is known that it scales exactly as the recorded ffmpeg 5.1 did."""

RECORDED_PILLOW = "13"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """One picture or film of a case."""

    facts: dict[str, Any]
    """What case.json says about it."""
    case: dict[str, Any]
    folder: Path

    def array(self, what: str) -> NDArray[Any]:
        """One of the arrays that were recorded of it, e.g. "picture"."""
        return read_arrays(self.folder / "io.npz")[f"{what}_{self.facts['name']}"]

    def has(self, what: str) -> bool:
        return has_arrays(self.folder / "io.npz", [re.escape(f"{what}_{self.facts['name']}")])


def items(field: str, arrays: str) -> dict[str, Item]:
    """What the cases list under a field and have such an array of, by name."""
    listed = [
        Item(facts, read_case(folder), folder)
        for folder in case_folders(FAMILY, fields=[field])
        for facts in read_case(folder)[field]
    ]
    return {f"{i.folder.name}/{i.facts['name']}": i for i in listed if i.has(arrays)}


stills = pytest.mark.parametrize(
    "picture", cases_or_skip(items("pictures", "picture"), "stills", FAMILY)
)
films = pytest.mark.parametrize(
    "video", cases_or_skip(items("videos", "frames_u8"), "films", FAMILY)
)


def assert_same_pixels(ours: Pixels, recorded: Pixels) -> None:
    """Equal; with another libswscale a level apart in the mean."""
    assert ours.shape == recorded.shape and ours.dtype == recorded.dtype
    if av.library_versions["libswscale"][0] == RECORDED_SWSCALE:
        assert np.array_equal(ours, recorded)
    else:
        assert np.abs(ours.astype(int) - recorded).mean() <= 1.0


# Stills


def still(picture: Item) -> Any:
    """A recorded source as the PIL image that the official code was given."""
    image = pytest.importorskip("PIL.Image", reason="stills are read by Pillow")
    array = picture.array("picture")
    opened = image.fromarray(array)
    if picture.facts["mode"] == "P":
        entry = np.arange(256)  # the rule that case.json states
        palette = np.stack([37 * entry % 256, (91 * entry + 40) % 256, (255 - 29 * entry) % 256])
        indexed = image.new("P", opened.size)
        indexed.putpalette(palette.T.astype(np.uint8).tobytes())
        indexed.putdata(array.ravel().tolist())
        opened = indexed
    assert opened.mode == picture.facts["mode"]
    return opened


def is_recorded_pillow(case: dict[str, Any]) -> bool:
    """A case that names no version was recorded with that of its neighbours."""
    import PIL

    recorded = case.get("versions", {}).get("pillow") or RECORDED_PILLOW
    return PIL.__version__.split(".")[0] == recorded.split(".")[0]


@stills
def test_stills_are_scaled_and_cropped_as_by_openai_clip(picture: Item) -> None:
    from benchmarks.stills import clip_picture

    ours = clip_picture(still(picture), 224)
    apart = np.abs(ours.astype(int) - picture.array("crop224_u8"))
    # another major version of Pillow may round otherwise
    assert apart.max() == 0 if is_recorded_pillow(picture.case) else apart.mean() <= 1.0


@pytest.mark.parametrize(
    "folder",
    folders_or_skip(
        case_folders(FAMILY, fields=["picture"], arrays=["crop224_u8"]), "picture files", FAMILY
    ),
)
def test_the_published_example_is_cropped_as_by_openai_clip(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="stills are read by Pillow")
    from benchmarks.stills import clip_picture

    case = read_case(folder)
    with image.open(folder / case["picture"]["file"]) as opened:
        ours = clip_picture(opened, 224)
    apart = np.abs(ours.astype(int) - read_arrays(folder / "io.npz")["crop224_u8"])
    assert apart.max() == 0 if is_recorded_pillow(case) else apart.mean() <= 1.0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A picture tower with CLIP's mean and standard deviation; its weights do not matter."""
    pytest.importorskip("torch", reason="the network's numbers are made by torch")
    pytest.importorskip("transformers", reason="the network is loaded by transformers")
    from indexer.encoders.clip_network import ClipNetwork

    folder = random_clip(tmp_path_factory.mktemp("models") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        return ClipNetwork(as_bundle(folder, patch, 48, 32), "float32")


@stills
def test_pixels_become_the_numbers_that_the_network_is_given(picture: Item, network: Any) -> None:
    from benchmarks.stills import clip_picture

    assert picture.case["config"]["mean"] == list(CLIP_MEAN)
    assert picture.case["config"]["std"] == list(CLIP_STD)
    image, tolerance = still(picture), picture.case["tolerance"]
    if not is_recorded_pillow(picture.case):
        pytest.skip("the recorded numbers are those of another Pillow's pixels")
    small = network.pixels(clip_picture(image, 32)[np.newaxis])[0].numpy()
    assert np.abs(small - picture.array("pixels32")).max() <= stated_atol(tolerance["pixels32"])
    if picture.has("pixels224_f16"):
        ours = network.pixels(clip_picture(image, 224)[np.newaxis])[0].numpy()
        apart = np.abs(ours - picture.array("pixels224_f16").astype(np.float32))
        assert apart.max() <= stated_atol(tolerance["pixels224_f16"])


# Films


def chosen_frames(video: Item) -> list[Frame]:
    """The frames that the official loader takes of a recorded film."""
    duration_s = video.facts["stream"]["duration"]
    rate = official_rate(duration_s)
    with open_film(video.folder / video.facts["file"]) as film:
        return official_frames(film.frames(), official_count(duration_s, rate), rate)


def is_turned(video: Item) -> bool:
    with open_film(video.folder / video.facts["file"]) as film:
        return film.info.rotation % 180 != 0


def stored_size(video: Item) -> tuple[int, int]:
    """Width and height."""
    return video.facts["stream"]["width"], video.facts["stream"]["height"]


@films
def test_frames_have_the_pixels_of_run_on_video(video: Item) -> None:
    recorded = video.array("frames_u8")
    n = video.facts["size"]
    frames = chosen_frames(video)
    assert len(frames) == len(recorded) == video.facts["centercrop_shape"][0]
    if not is_turned(video):
        ours = np.stack([frame.picture_rgb(n, n, "centre-crop") for frame in frames])
        assert_same_pixels(ours, recorded)
        return
    # The loader turns such a film upright, then squeezes it into the shape that it is stored in.
    # Ours keeps its shape; given the loader's numbers, its filters make the loader's pixels.
    squeeze = centre_crop(stored_size(video), (n, n))
    for frame, official in zip(frames, recorded, strict=True):
        picture = frame._picture
        assert_same_pixels(cropped_rgb(picture, quarter_turns(picture), squeeze, (n, n)), official)
        assert not np.array_equal(frame.picture_rgb(n, n, "centre-crop"), official)


@films
def test_whole_frames_have_the_size_of_the_loader_without_its_crop(video: Item) -> None:
    n = video.facts["size"]
    count, channels, height, width = video.facts["no_crop_shape"]
    assert channels == 3 and len(chosen_frames(video)) == count
    assert centre_crop(stored_size(video), (n, n)).scaled == (width, height)


@films
def test_frames_become_numbers_of_the_recorded_mean_and_spread(video: Item, network: Any) -> None:
    if is_turned(video):
        pytest.skip("the official picture of a turned film is squeezed, ours is not")
    if av.library_versions["libswscale"][0] != RECORDED_SWSCALE:
        pytest.skip("the recorded numbers are those of another libswscale's pixels")
    n = video.facts["size"]
    pictures = [frame.picture_rgb(n, n, "centre-crop") for frame in chosen_frames(video)]
    pixels = network.pixels(np.stack(pictures)).double()
    for name, found in (
        ("normalised_mean", pixels.mean(dim=(0, 2, 3))),
        ("normalised_std", pixels.std(dim=(0, 2, 3))),
    ):
        assert np.allclose(found.numpy(), video.facts[name], rtol=0, atol=1e-5), name


# Which frames


@dataclass(frozen=True)
class Numbered:
    """A frame of which only the time matters."""

    time_s: float
    number: int


picks = pytest.mark.parametrize(
    "file", folders_or_skip(case_files(FAMILY, "frame_pick.json"), "picked frames", FAMILY)
)


def rows_of(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return rows


def numbered(row: dict[str, Any]) -> list[Numbered]:
    fps = Fraction(row["fps"])
    return [Numbered(round(float(n / fps), 9), n) for n in range(row["frames"])]


@picks
def test_the_official_rule_as_restated_here_takes_the_recorded_frames(file: Path) -> None:
    for row in rows_of(file):
        rate = official_rate(row["duration"])
        assert (rate != 0.5) == row["short_rule"]
        count = official_count(row["frames"] / float(Fraction(row["fps"])), rate)
        assert [f.number for f in official_frames(numbered(row), count, rate)] == row["picked"], row


@picks
def test_clips_have_the_official_frames(file: Path) -> None:
    """For as many clips as the official code makes: it rounds, where a tail of ours is a clip."""
    for row in rows_of(file):
        clip_s = 1 / official_rate(row["duration"])
        frames = numbered(row)
        sampler: ClipSampler[Numbered] = ClipSampler(clip_s)
        samples = [sample for frame in frames for sample in sampler.push(frame)]
        samples += sampler.finish(len(row["picked"]))
        assert [sample.frame.number for sample in samples] == row["picked"], row
