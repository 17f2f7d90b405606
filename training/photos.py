"""Reads the photo set: tar shards of AVIF pictures and one table of words
(`shared/images/README.md`).
"""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

TABLE = "metadata.jsonl.gz"


@dataclass(frozen=True)
class Photo:
    """One row of the table: where a picture lies and which words belong to it."""

    key: str
    """Name of the picture, unique in the set."""
    shard: str
    """File name of the tar shard that holds it."""
    source: str
    """Data set it comes from, such as `flickr8k`."""
    split: str
    """`train`, `val` or `test`."""
    captions: tuple[str, ...]
    """Whole sentences; empty where there are only labels."""
    labels: tuple[str, ...]
    """Plain English names; empty where there are only captions."""
    origin: str
    """Path inside the repository that it was taken from."""
    sha256: str = ""
    """Of the picture file: caches go by it, since names say nothing about pixels."""


def read_table(root: Path) -> list[Photo]:
    """All rows, in the order of the file."""
    with gzip.open(root / TABLE, "rt", encoding="utf-8") as lines:
        return [_photo(json.loads(line)) for line in lines]


def _photo(row: dict[str, object]) -> Photo:
    return Photo(
        key=str(row["key"]),
        shard=str(row["shard"]),
        source=str(row["source"]),
        split=str(row["split"]),
        captions=tuple(row["captions"]),  # type: ignore[arg-type]
        labels=tuple(row["labels"]),  # type: ignore[arg-type]
        origin=str(row["origin"]),
        sha256=str(row["sha256"]),
    )


def read_pictures(root: Path, photos: Sequence[Photo]) -> Iterator[tuple[int, Image.Image]]:
    """Position in `photos` and the RGB picture, in the order of the shards (each shard is read
    once).
    """
    wanted = {photo.key: position for position, photo in enumerate(photos)}
    for shard in sorted({photo.shard for photo in photos}):
        with tarfile.open(root / shard) as tar:
            for member in tar:
                position = wanted.get(member.name.removesuffix(".avif"))
                stream = tar.extractfile(member) if position is not None else None
                if position is not None and stream is not None:
                    yield position, Image.open(io.BytesIO(stream.read())).convert("RGB")
