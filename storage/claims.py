"""Which videos are being indexed right now, so that two runs share the work of one archive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from storage.failures import os_errors


@contextlib.contextmanager
def claim(archive: Path, video_id: str) -> Iterator[bool]:
    """True if this process may index the video now, False if another is at it; never waits.

    An OS lock on ``claims/<video_id>``: the end of the process frees it, a crash too. What a crash
    leaves is an empty file without meaning. ArchiveReadOnly if the file cannot be made.
    """
    import filelock

    path = archive / "claims" / video_id
    with os_errors(archive):
        path.parent.mkdir(exist_ok=True)
        lock = filelock.FileLock(path)
    try:
        with os_errors(archive):
            lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        # Removed while still held: whoever opened the old file meanwhile sees that it has no name
        # any more (filelock checks the link count) and starts over with a new one.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()
