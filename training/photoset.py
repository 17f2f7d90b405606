"""Where photos come from: the shards of `shared/images`, or a folder that a user brings."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from training import folder, photos
from training.photos import Photo


def read_photos(root: Path) -> list[Photo]:
    """All photos of either kind of set.

    Raises:
        FolderError: it is neither, or the table of a folder is wrong.
    """
    return photos.read_table(root) if (root / photos.TABLE).is_file() else folder.read_folder(root)


def read_pictures(root: Path, chosen: Sequence[Photo]) -> Iterator[tuple[int, Image.Image]]:
    """Position in `chosen` and the RGB picture, in whatever order is quick."""
    if (root / photos.TABLE).is_file():
        return photos.read_pictures(root, chosen)
    return folder.read_picture_files(root, chosen)


def check_pictures(root: Path, chosen: Sequence[Photo]) -> None:
    """Reads every picture of a user's folder once, before hours are spent on some of them; the
    shards of the photo set are known to be whole.

    Raises:
        FolderError: a file is no picture, or a part of one.
    """
    if not (root / photos.TABLE).is_file():
        for _ in folder.read_picture_files(root, chosen):
            pass


def table_file(root: Path) -> Path:
    """The file that says which photos and words there are."""
    names = (photos.TABLE, *folder.TABLES)
    return next(root / name for name in names if (root / name).is_file())
