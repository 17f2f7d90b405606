"""A folder of captioned pictures that a user brings, as the recipe's photo set.

The folder holds picture files and either `captions.jsonl` (one JSON object a line) or
`captions.csv` (a header line first) with the columns

- `file`: path of the picture inside the folder;
- `captions`: sentences about it; a list in JSON, in CSV one a row (several rows may name one file);
- `labels`: names of what it shows, likewise; a picture needs a caption or a label;
- `split`: `train`, `val` or `test`, optional; without it a tenth is kept for `val`, the same tenth
  every time.

A column of another name is refused: it may be a slip, and words would be left out without a word.
"""

import csv
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from storage.errors import ReelseekError
from training.photos import Photo

TABLES = ("captions.jsonl", "captions.csv")
COLUMNS = ("file", "captions", "labels", "split")
SPLITS = ("train", "val", "test")
VAL_SHARE = 10
"""One picture in so many is kept for val where the table does not say."""

SOURCE = "folder"


class FolderError(ReelseekError):
    """A folder of pictures that cannot be learnt from, in one sentence."""


def is_folder(root: Path) -> bool:
    """Whether a folder has a table of captions in it."""
    return any((root / name).is_file() for name in TABLES)


def read_folder(root: Path) -> list[Photo]:
    """All pictures of the folder, in the order of its table.

    Raises:
        FolderError: there is no such folder or no table in it, a row makes no sense, a picture is
            not there, or none is left to learn from or to judge by.
    """
    if not root.is_dir():
        raise FolderError(
            f"{root} is no folder." if root.exists() else f"There is no folder {root}."
        )
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    if path is None:
        raise FolderError(f"{root} has neither {TABLES[0]} nor {TABLES[1]}: write one of them.")
    try:
        rows = list(_jsonl(path) if path.suffix == ".jsonl" else _csv(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FolderError(f"{path} cannot be read ({error}).") from error
    photos = [_photo(root, file, parts) for file, parts in _by_file(rows).items()]
    for split in ("train", "val"):
        if sum(photo.split == split for photo in photos) < 2:
            raise FolderError(
                f"{path} leaves fewer than two pictures for {split}: bring more pictures, or "
                "correct the column split."
            )
    return photos


def read_picture_files(root: Path, photos: Sequence[Photo]) -> Iterator[tuple[int, Image.Image]]:
    """Position in `photos` and the RGB picture, upright as its EXIF note says.

    Raises:
        FolderError: a file is no picture that Pillow reads, or a part of one.
    """
    for position, photo in enumerate(photos):
        try:
            with Image.open(root / photo.key) as picture:
                upright = _rgb(ImageOps.exif_transpose(picture))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise FolderError(f"{root / photo.key} is no picture ({error}).") from error
        yield position, upright


def _rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB; 16-bit grey, which Pillow would cut off at 255, is brought to 8 bits first."""
    if picture.mode.startswith("I"):
        grey = np.asarray(picture, np.float32) / 257
        picture = Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))
    return picture.convert("RGB")


Row = tuple[str, dict[str, object]]
"""Where the row stands, such as "captions.csv, line 3", and its columns."""


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            place = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise FolderError(f"{place} is no JSON ({error}).") from error
            if not isinstance(row, dict):
                raise FolderError(f"{place} is no JSON object with a file and its captions.")
            _check_columns(place, row)
            yield place, row


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines, restkey="")
        header = [name.strip() for name in table.fieldnames or ()]
        _check_columns(f"{path}, line 1", header)
        if "file" not in header or not {"captions", "labels"} & set(header):
            raise FolderError(
                f"{path}, line 1 must name the columns file, and captions or labels or both: it "
                f"names {', '.join(header) or 'none'}."
            )
        table.fieldnames = header
        for row in table:
            place = f"{path}, line {table.line_num}"
            if "" in row:
                raise FolderError(
                    f"{place} has more fields than the header: put quotation marks around words "
                    "with a comma in them."
                )
            yield place, {column: value for column, value in row.items() if value}


def _check_columns(place: str, columns: Iterable[str]) -> None:
    unknown = [repr(column) for column in columns if column not in COLUMNS]
    if unknown:
        raise FolderError(
            f"{place} has {', '.join(unknown)}, which is none of the columns {', '.join(COLUMNS)}."
        )


def _by_file(rows: Iterable[Row]) -> dict[str, dict[str, list[str]]]:
    """Captions, labels, split and place of each file; several rows of one file are joined."""
    files: dict[str, dict[str, list[str]]] = {}
    for place, row in rows:
        file = row.get("file")
        if not isinstance(file, str) or not file.strip():
            raise FolderError(f"{place} names no file.")
        parts = files.setdefault(file, {"captions": [], "labels": [], "split": [], "place": []})
        parts["place"].append(place)
        for column in ("captions", "labels"):
            parts[column] += _words(place, column, row)
        if row.get("split"):
            parts["split"].append(str(row["split"]))
    return files


def _words(place: str, column: str, row: Mapping[str, object]) -> list[str]:
    value = row.get(column)
    entries = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise FolderError(f"{place}: {column} must be text or a list of texts.")
    return [" ".join(entry.split()) for entry in entries if entry.strip()]


def _photo(root: Path, file: str, parts: Mapping[str, list[str]]) -> Photo:
    place = parts["place"][0]
    if not parts["captions"] and not parts["labels"]:
        raise FolderError(f"{place}: {file!r} has neither a caption nor a label.")
    path = (root / file).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise FolderError(f"{place}: there is no picture {file!r} in {root}.")
    splits = set(parts["split"])
    if len(splits) > 1 or not splits <= set(SPLITS):
        raise FolderError(f"{place}: the split of {file!r} must be one of {', '.join(SPLITS)}.")
    drawn = "val" if zlib.crc32(file.encode()) % VAL_SHARE == 0 else "train"
    return Photo(
        key=file,
        shard="",
        source=SOURCE,
        split=splits.pop() if splits else drawn,
        captions=tuple(dict.fromkeys(parts["captions"])),
        labels=tuple(dict.fromkeys(parts["labels"])),
        origin=file,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
