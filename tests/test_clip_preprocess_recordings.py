"""Pictures for CLIP, against what openai/CLIP and run_on_video make of the same ones.

`REELSEEK_FIXTURES` names the folder of recordings, made with the official code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from clip_folders import as_bundle, random_clip
from numpy.typing import NDArray
from official_frames import official_count, official_frames, official_rate
from recordings import fixtures_folder, read_arrays, read_case

from indexer.fit import centre_crop
from indexer.frame import Frame, cropped_rgb, quarter_turns
from indexer.media import open_film
from indexer.sampling import ClipSampler

FOLDER = fixtures_folder("clip_preprocess")
STILLS = read_case(FOLDER)
FILMS = read_case(FOLDER / "run_on_video")
RECORDED_SWSCALE = 9
"""Of libswscale 9 it is known that it scales exactly as the recorded ffmpeg 5.1 did."""

Pixels = NDArray[np.uint8]


def assert_same_pixels(ours: Pixels, recorded: Pixels) -> None:
    """Equal; with another libswscale a level apart in the mean."""
    assert ours.shape == recorded.shape and ours.dtype == recorded.dtype
    if av.library_versions["libswscale"][0] == RECORDED_SWSCALE:
        assert np.array_equal(ours, recorded)
    else:
        assert np.abs(ours.astype(int) - recorded).mean() <= 1.0


# Stills


def still(picture: dict[str, Any]) -> Any:
    """A recorded source as the PIL image that the official code was given."""
    image = pytest.importorskip("PIL.Image", reason="stills are read by Pillow")
    array = read_arrays(FOLDER / "io.npz")[f"picture_{picture['name']}"]
    opened = image.fromarray(array)
    if picture["mode"] == "P":
        entry = np.arange(256)  # the rule that case.json states
        palette = np.stack([37 * entry % 256, (91 * entry + 40) % 256, (255 - 29 * entry) % 256])
        indexed = image.new("P", opened.size)
        indexed.putpalette(palette.T.astype(np.uint8).tobytes())
        indexed.putdata(array.ravel().tolist())
        opened = indexed
    assert opened.mode == picture["mode"]
    return opened


def is_recorded_pillow() -> bool:
    import PIL

    return PIL.__version__.split(".")[0] == STILLS["versions"]["pillow"].split(".")[0]


@pytest.mark.parametrize("picture", STILLS["pictures"], ids=lambda picture: picture["name"])
def test_stills_are_scaled_and_cropped_as_by_openai_clip(picture: dict[str, Any]) -> None:
    from benchmarks.stills import clip_picture

    recorded = read_arrays(FOLDER / "io.npz")[f"crop224_u8_{picture['name']}"]
    ours = clip_picture(still(picture), 224)
    apart = np.abs(ours.astype(int) - recorded)
    # another major version of Pillow may round otherwise
    assert apart.max() == 0 if is_recorded_pillow() else apart.mean() <= 1.0


def test_the_published_example_is_cropped_as_by_openai_clip() -> None:
    image = pytest.importorskip("PIL.Image", reason="stills are read by Pillow")
    from benchmarks.stills import clip_picture

    folder = fixtures_folder("clip_preprocess/published_example")
    with image.open(folder / read_case(folder)["picture"]["file"]) as opened:
        ours = clip_picture(opened, 224)
    apart = np.abs(ours.astype(int) - read_arrays(folder / "io.npz")["crop224_u8"])
    assert apart.max() == 0 if is_recorded_pillow() else apart.mean() <= 1.0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A picture tower with the recorded mean and standard deviation; its weights do not matter."""
    pytest.importorskip("torch", reason="the network's numbers are made by torch")
    pytest.importorskip("transformers", reason="the network is loaded by transformers")
    from indexer.encoders.clip_network import ClipNetwork

    folder = random_clip(tmp_path_factory.mktemp("models") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        mean, std = STILLS["config"]["mean"], STILLS["config"]["std"]
        return ClipNetwork(as_bundle(folder, patch, 48, 32, mean=mean, std=std), "float32")


@pytest.mark.parametrize("picture", STILLS["pictures"], ids=lambda picture: picture["name"])
def test_pixels_become_the_numbers_that_the_network_is_given(
    picture: dict[str, Any], network: Any
) -> None:
    from benchmarks.stills import clip_picture

    recorded = read_arrays(FOLDER / "io.npz")
    image = still(picture)
    if not is_recorded_pillow():
        pytest.skip("the recorded numbers are those of another Pillow's pixels")
    small = network.pixels(clip_picture(image, 32)[np.newaxis])[0].numpy()
    assert np.abs(small - recorded[f"pixels32_{picture['name']}"]).max() <= 1e-6
    whole = recorded.get(f"pixels224_f16_{picture['name']}")
    if whole is not None:
        ours = network.pixels(clip_picture(image, 224)[np.newaxis])[0].numpy()
        assert np.abs(ours - whole.astype(np.float32)).max() <= 2e-3


# Films


def chosen_frames(video: dict[str, Any]) -> list[Frame]:
    """The frames that the official loader takes of a recorded film."""
    rate = official_rate(video["stream"]["duration"])
    count = official_count(video["stream"]["duration"], rate)
    with open_film(FOLDER / "run_on_video" / video["file"]) as film:
        return official_frames(film.frames(), count, rate)


def is_turned(video: dict[str, Any]) -> bool:
    with open_film(FOLDER / "run_on_video" / video["file"]) as film:
        return film.info.rotation % 180 != 0


@pytest.mark.parametrize("video", FILMS["videos"], ids=lambda video: video["name"])
def test_frames_have_the_pixels_of_run_on_video(video: dict[str, Any]) -> None:
    recorded = read_arrays(FOLDER / "run_on_video" / "io.npz")[f"frames_u8_{video['name']}"]
    n = video["size"]
    frames = chosen_frames(video)
    assert len(frames) == len(recorded) == video["centercrop_shape"][0]
    if not is_turned(video):
        ours = np.stack([frame.picture_rgb(n, n, "centre-crop") for frame in frames])
        assert_same_pixels(ours, recorded)
        return
    # The loader turns such a film upright, then squeezes it into the shape that it is stored in.
    # Ours keeps its shape; given the loader's numbers, its filters make the loader's pixels.
    squeeze = centre_crop((video["stream"]["width"], video["stream"]["height"]), (n, n))
    for frame, official in zip(frames, recorded, strict=True):
        picture = frame._picture
        assert_same_pixels(cropped_rgb(picture, quarter_turns(picture), squeeze, (n, n)), official)
        assert not np.array_equal(frame.picture_rgb(n, n, "centre-crop"), official)


@pytest.mark.parametrize("video", FILMS["videos"], ids=lambda video: video["name"])
def test_whole_frames_have_the_size_of_the_loader_without_its_crop(video: dict[str, Any]) -> None:
    n = video["size"]
    stored = (video["stream"]["width"], video["stream"]["height"])
    count, channels, height, width = video["no_crop_shape"]
    assert channels == 3 and len(chosen_frames(video)) == count
    assert centre_crop(stored, (n, n)).scaled == (width, height)


@pytest.mark.parametrize("video", FILMS["videos"], ids=lambda video: video["name"])
def test_frames_become_numbers_of_the_recorded_mean_and_spread(
    video: dict[str, Any], network: Any
) -> None:
    if is_turned(video):
        pytest.skip("the official picture of a turned film is squeezed, ours is not")
    if av.library_versions["libswscale"][0] != RECORDED_SWSCALE:
        pytest.skip("the recorded numbers are those of another libswscale's pixels")
    n = video["size"]
    pictures = [frame.picture_rgb(n, n, "centre-crop") for frame in chosen_frames(video)]
    pixels = network.pixels(np.stack(pictures)).double()
    for name, found in (
        ("normalised_mean", pixels.mean(dim=(0, 2, 3))),
        ("normalised_std", pixels.std(dim=(0, 2, 3))),
    ):
        assert np.allclose(found.numpy(), video[name], rtol=0, atol=1e-5), name


# Which frames


@dataclass(frozen=True)
class Numbered:
    """A frame of which only the time matters."""

    time_s: float
    number: int


def picks() -> list[dict[str, Any]]:
    file = FOLDER / "run_on_video" / "frame_pick.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return rows


def numbered(row: dict[str, Any]) -> list[Numbered]:
    fps = Fraction(row["fps"])
    return [Numbered(round(float(n / fps), 9), n) for n in range(row["frames"])]


def test_the_official_rule_as_restated_here_takes_the_recorded_frames() -> None:
    for row in picks():
        rate = official_rate(row["duration"])
        assert (rate != 0.5) == row["short_rule"]
        count = official_count(row["frames"] / float(Fraction(row["fps"])), rate)
        assert [f.number for f in official_frames(numbered(row), count, rate)] == row["picked"], row


def test_clips_have_the_official_frames() -> None:
    """For as many clips as the official code makes: it rounds, where a tail of ours is a clip."""
    for row in picks():
        clip_s = 1 / official_rate(row["duration"])
        frames = numbered(row)
        sampler: ClipSampler[Numbered] = ClipSampler(clip_s)
        samples = [sample for frame in frames for sample in sampler.push(frame)]
        samples += sampler.finish(len(row["picked"]))
        assert [sample.frame.number for sample in samples] == row["picked"], row
