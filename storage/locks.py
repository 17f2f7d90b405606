"""Waiting for one's turn: one process writes to an archive at a time, the others queue in words."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import ArchiveBusy
from storage.failures import os_errors

log = logging.getLogger("reelseek.storage")

QUIET_S = 2.0
"""Seconds of waiting before a word is said: a commit takes milliseconds, most waits end first."""

PATIENCE_S = 600.0
"""Seconds after which waiting is given up: building the largest FAISS index takes minutes."""

_POLL_S = 0.02


class Patience:
    """Counts the time spent waiting for an archive; speaks once, gives up at last."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._since = time.monotonic()
        self._spoken = False

    def wait(self) -> None:
        """Sleep a moment; ArchiveBusy when PATIENCE_S have passed since the first wait."""
        waited = time.monotonic() - self._since
        if waited >= PATIENCE_S:
            raise ArchiveBusy(
                f"another program has kept {self._archive} for {waited / 60:.0f} minutes: "
                "see what is writing there, then run the same command again."
            )
        if waited >= QUIET_S and not self._spoken:
            self._spoken = True
            log.info("waiting for another reelseek that is writing to %s", self._archive)
        time.sleep(_POLL_S)


@contextmanager
def writer_lock(archive: Path) -> Iterator[None]:
    """Be the only writer of an archive. An OS lock: the end of the process frees it, a crash too.

    ArchiveBusy after PATIENCE_S; ArchiveReadOnly if the lock file cannot be written.
    """
    import filelock

    lock = filelock.FileLock(archive / "writer.lock")
    patience = Patience(archive)
    while True:
        try:
            with os_errors(archive):
                lock.acquire(timeout=0)
            break
        except filelock.Timeout:
            patience.wait()
    try:
        yield
    finally:
        lock.release()
