"""Which files `index add` is about: those named, and the videos in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import MediaError, MediaNotFound, UnreadableMedia

VIDEO_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gxf", ".ivf",
        ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mod", ".mov", ".mp4", ".mpe",
        ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm",
        ".rmvb", ".ts", ".tod", ".vob", ".webm", ".wmv", ".y4m",
    }
)  # fmt: skip
"""What a folder is searched for; a file that is named itself may have any suffix."""

_IGNORED_FOLDERS = frozenset({"System Volume Information", "$RECYCLE.BIN", "lost+found"})


@dataclass(frozen=True)
class Found:
    """What the given paths stand for."""

    files: list[Path]
    """Absolute, sorted within each folder, each once."""
    unreadable: list[MediaError]
    """One for each folder that could not be looked into."""


def find_files(paths: Iterable[Path], recursive: bool, archive: Path) -> Found:
    """The files that the given paths stand for.

    Hidden files and folders, the rubbish that systems leave on external drives, and the archive
    itself are passed over; symbolic links are followed, and no folder is visited twice. Files
    named one by one are kept whatever they are.

    Raises:
        MediaNotFound: a path is a folder and `recursive` is off.
    """
    files: dict[Path, None] = {}
    unreadable: list[MediaError] = []
    for path in paths:
        path = path.absolute()
        if path.is_dir():
            if not recursive:
                raise MediaNotFound(
                    f"{path} is a folder: add --recursive to index the videos in it."
                )
            files.update(dict.fromkeys(_videos_below(path, archive.absolute(), unreadable)))
        else:
            files[path] = None
    return Found(list(files), unreadable)


def _videos_below(folder: Path, archive: Path, unreadable: list[MediaError]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        unreadable.append(
            UnreadableMedia(
                f"{error.filename} cannot be looked into ({error.strerror}): change its "
                "permissions or run as its owner."
            )
        )

    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=note, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen or Path(parent) == archive:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _IGNORED_FOLDERS
        )
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES:
                yield Path(parent, name)
