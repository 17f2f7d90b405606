"""A user's folder of captioned pictures is read as documented, and refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="pillow makes the pictures")

from training.captions import keywords, opening, shortened  # noqa: E402
from training.folder import FolderError, read_folder, read_picture_files  # noqa: E402
from training.photoset import check_pictures  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stills").mkdir()
    for number in range(6):
        name = tmp_path / "stills" / f"{number}.png"
        Image.new("RGB", (32, 24), (40 * number, 10, 10)).save(name)
    return tmp_path


def rows(folder: Path, *entries: Mapping[str, object]) -> None:
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "captions.jsonl").write_text(lines, encoding="utf-8")


def table(first: int = 0, **change: object) -> list[dict[str, object]]:
    """Six good rows, one of them changed."""
    entries: list[dict[str, object]] = [
        {
            "file": f"stills/{number}.png",
            "captions": [f"Scene {number}"],
            "split": "val" if number < 2 else "train",
        }
        for number in range(6)
    ]
    entries[first] = entries[first] | change
    return entries


def test_jsonl_gives_pictures_with_their_words_and_split(folder: Path) -> None:
    rows(folder, *table(labels=["fire engine"]))
    photos = read_folder(folder)
    assert [photo.split for photo in photos] == ["val"] * 2 + ["train"] * 4
    assert photos[0].captions == ("Scene 0",) and photos[0].labels == ("fire engine",)
    pictures = dict(read_picture_files(folder, photos))
    assert pictures[3].size == (32, 24) and pictures[3].getpixel((0, 0)) == (120, 10, 10)


def test_csv_rows_of_one_file_are_its_captions(folder: Path) -> None:
    lines = ["file,captions,labels,split"]
    lines += [f"stills/{n}.png,Scene {n},,{'val' if n < 2 else 'train'}" for n in range(6)]
    lines += ["stills/5.png,Another way to say it,,", "stills/5.png,,bridge,train"]
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    photos = read_folder(folder)
    assert len(photos) == 6
    assert photos[5].captions == ("Scene 5", "Another way to say it")
    assert photos[5].labels == ("bridge",) and photos[5].split == "train"


def test_without_a_split_the_same_tenth_is_kept_every_time(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(200)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    rows(tmp_path, *({"file": name, "labels": "x"} for name in names))
    first, second = read_folder(tmp_path), read_folder(tmp_path)
    assert first == second
    assert 8 <= sum(photo.split == "val" for photo in first) <= 35


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"file": "stills/none.png"}, "there is no picture 'stills/none.png'"),
        ({"file": "../elsewhere.png"}, "there is no picture"),
        ({"file": ""}, "names no file"),
        ({"captions": []}, "neither a caption nor a label"),
        ({"captions": 3}, "captions must be text"),
        ({"labels": [["x"]]}, "labels must be text"),
        ({"split": "dev"}, "must be one of train, val, test"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(
    folder: Path, change: dict[str, object], told: str
) -> None:
    (folder.parent / "elsewhere.png").write_bytes(b"")
    rows(folder, *table(3, **change))
    with pytest.raises(FolderError, match=told) as refused:
        read_folder(folder)
    assert "line 4" in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_without_a_table_or_with_too_few_pictures_is_refused(folder: Path) -> None:
    with pytest.raises(FolderError, match="neither captions"):
        read_folder(folder)
    rows(folder, *table()[2:])
    with pytest.raises(FolderError, match="fewer than two pictures for val"):
        read_folder(folder)
    (folder / "captions.jsonl").write_text("{not json\n", encoding="utf-8")
    with pytest.raises(FolderError, match="line 1 is no JSON"):
        read_folder(folder)


def test_a_file_that_is_no_picture_is_named(folder: Path) -> None:
    (folder / "stills" / "2.png").write_bytes(b"not a picture")
    rows(folder, *table())
    with pytest.raises(FolderError, match="is no picture"):
        list(read_picture_files(folder, read_folder(folder)))


def test_captions_are_shortened_as_people_type() -> None:
    caption = "A dog is running on the beach, while a man watches"
    assert opening(caption) == "A dog is running on the beach"
    assert keywords(opening(caption)) == "dog running on beach"
    assert shortened("dog on beach") == []
    assert keywords("who is it") == "who is it"


def csv(folder: Path, *lines: str) -> None:
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["file,captions", "stills/0.png,A tram, in the rain"], "line 2 has more fields"),
        (["file,caption", "stills/0.png,A tram"], "line 1 has 'caption', which is none"),
        (["captions,labels", "A tram,tram"], "must name the columns file"),
        (["file,split", "stills/0.png,val"], "captions or labels or both"),
        (["file;captions", "stills/0.png;A tram"], "has 'file;captions'"),
    ],
)
def test_a_csv_that_would_lose_words_is_refused(folder: Path, lines: list[str], told: str) -> None:
    csv(folder, *lines)
    with pytest.raises(FolderError, match=told):
        read_folder(folder)


def test_a_misspelt_key_and_a_missing_folder_are_named(folder: Path) -> None:
    rows(folder, *table(3, caption="A tram"))
    with pytest.raises(FolderError, match="line 4 has 'caption'"):
        read_folder(folder)
    with pytest.raises(FolderError, match="There is no folder"):
        read_folder(folder / "elsewhere")


def test_a_picture_is_turned_as_its_camera_was_held(folder: Path) -> None:
    picture = Image.new("RGB", (32, 24), "black")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    picture.save(folder / "stills" / "0.png", exif=exif)
    rows(folder, *table())
    assert dict(read_picture_files(folder, read_folder(folder)))[0].size == (24, 32)


def test_sixteen_bits_of_grey_become_eight(folder: Path) -> None:
    grey = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(grey).save(folder / "stills" / "0.png")
    rows(folder, *table())
    shown = np.asarray(dict(read_picture_files(folder, read_folder(folder)))[0])
    assert shown[0, :, 0].tolist() == [0, 100, 255]


def test_half_a_picture_is_found_before_anything_is_learnt(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    whole = folder / "stills" / "0.png"
    Image.fromarray(noise).save(whole)
    whole.write_bytes(whole.read_bytes()[:9000])
    rows(folder, *table())
    with pytest.raises(FolderError, match=r"0\.png is no picture"):
        check_pictures(folder, read_folder(folder))
