"""Writing that survives a power cut: synced files, atomic replacement, append after truncation."""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from storage.current import BadView, Extent


def write_synced(path: Path, data: bytes) -> None:
    """Write a whole file and wait until it is on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        sync(file)


def replace(fresh: Path, path: Path) -> None:
    """Put a synced file in the place of another, in one step that survives a power cut."""
    os.replace(fresh, path)
    sync_folder(path.parent)


def sync(file: BinaryIO) -> None:
    """Wait until what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk (Windows does that by itself)."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Delete a file or folder if the system lets us; what stays is tried again another time."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@contextlib.contextmanager
def removed_on_error(path: Path) -> Iterator[None]:
    """Delete a file or folder if the block that makes it fails: a full disk needs the room."""
    try:
        yield
    except BaseException:
        remove(path)
        raise


def cut_to(folder: Path, extents: dict[str, Extent]) -> None:
    """Cut off what lies behind the extents, if the system lets us; it means nothing anyway."""
    for name, extent in extents.items():
        path = folder / name
        with contextlib.suppress(OSError):
            if path.stat().st_size > extent.size:
                os.truncate(path, extent.size)


class Appender:
    """Appends to the columns of an epoch; `extents` tells how far they reach then.

    What lies behind the old extents (left by a crash) is cut off first. Leaving the block syncs the
    files; until CURRENT names the new extents, nothing has happened.
    """

    def __init__(self, folder: Path, extents: dict[str, Extent]) -> None:
        self.extents = dict(extents)
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}

    def append(self, column: str, data: bytes) -> None:
        """Add bytes to a column."""
        if data:
            extent = self.extents[column]
            self._file(column).write(data)
            self.extents[column] = Extent(extent.size + len(data), zlib.crc32(data, extent.crc32))

    def _file(self, column: str) -> BinaryIO:
        if column not in self._files:
            size = self.extents[column].size
            handle = os.open(
                self._folder / column, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )
            file = self._files[column] = os.fdopen(handle, "r+b")
            length = file.seek(0, os.SEEK_END)
            if length < size:
                raise BadView(f"{column} is too short")
            if length > size:
                file.truncate(size)
                file.seek(size)
        return self._files[column]

    def __enter__(self) -> Appender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for file in self._files.values():
                    sync(file)
                sync_folder(self._folder)
        finally:
            for file in self._files.values():
                with contextlib.suppress(OSError):  # on a full disk the last flush fails again
                    file.close()
