"""The operating system's and LevelDB's complaints, as errors with advice."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import ArchiveDamaged, ArchiveError, ArchiveFull, ArchiveReadOnly

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}

# LevelDB hands on the text of strerror, not its number.
_FULL_TEXTS = ("no space left on device", "file too large", "quota exceeded", "disk full")
_READ_ONLY_TEXTS = ("permission denied", "read-only file system", "operation not permitted")


def archive_full(archive: Path) -> ArchiveFull:
    """The error for a disk without room."""
    return ArchiveFull(
        f"the disk under {archive} is full, so the last change was not made and the archive "
        "stays as it was before it: free some space and run the same command again."
    )


def archive_read_only(archive: Path) -> ArchiveReadOnly:
    """The error for an archive that can be searched but not written."""
    return ArchiveReadOnly(
        f"{archive} cannot be written (read-only disk or missing permission): "
        "give yourself write access, or choose another archive with --db."
    )


def ledger_damaged(archive: Path, what: str) -> ArchiveDamaged:
    """The error for a ledger that LevelDB itself cannot read."""
    return ArchiveDamaged(
        f"the ledger in {archive / 'ledger'} is damaged ({what}): searching still works; "
        "to write again, restore that folder from a backup, or index the films into a new archive."
    )


@contextmanager
def os_errors(archive: Path) -> Iterator[None]:
    """Turn an OSError of the block into one of storage/errors.py (but not a lock's time-out)."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        raise from_os_error(archive, error) from error


def from_os_error(archive: Path, error: OSError) -> ArchiveError:
    """The error of storage/errors.py that says what an OSError means for the archive."""
    if error.errno in _FULL:
        return archive_full(archive)
    if error.errno in _READ_ONLY:
        return archive_read_only(archive)
    return ArchiveError(
        f"{archive} cannot be used ({error.strerror or error}): check the disk and the path, or "
        "name another archive with --db."
    )


def from_leveldb(archive: Path, error: Exception) -> ArchiveError:
    """The error of storage/errors.py that says what LevelDB's error means for the archive."""
    text = leveldb_text(error)
    low = text.lower()
    if any(part in low for part in _FULL_TEXTS):
        return archive_full(archive)
    if any(part in low for part in _READ_ONLY_TEXTS):
        return archive_read_only(archive)
    return ledger_damaged(archive, text)


def leveldb_text(error: Exception) -> str:
    """LevelDB's message; plyvel hands it on as bytes."""
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
