"""A file as one read-only stretch of memory, and its checksums."""

from __future__ import annotations

import hashlib
import mmap
import stat
from dataclasses import dataclass
from pathlib import Path

from storage.checkpoints.errors import Malformed

_CHUNK = 2**20


@dataclass(frozen=True, eq=False)
class MappedFile:
    """The bytes of a file, read from the disk as they are looked at.

    They stay mapped as long as anything made of `data` lives. A file that is cut while it is
    mapped ends the process on most systems; replace weights by renaming.
    """

    path: Path
    data: memoryview

    def sha256_and_git_blob(self) -> tuple[str, str]:
        """SHA-256 of the file, and the id that git would give it, both in hex."""
        sha256 = hashlib.sha256()
        blob = hashlib.sha1(b"blob %d\0" % len(self.data), usedforsecurity=False)
        for start in range(0, len(self.data), _CHUNK):
            chunk = self.data[start : start + _CHUNK]
            sha256.update(chunk)
            blob.update(chunk)
        return sha256.hexdigest(), blob.hexdigest()


def map_file(path: Path) -> MappedFile:
    """Map a regular file.

    Raises:
        Malformed: there is no such file, it is empty, or not a regular one (a pipe, a device).
        OSError: the system does not let us read it.
    """
    try:
        # Asked before opening, which would wait at a pipe.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Malformed("it is not a regular file", "name a weights file, or a folder of them")
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise Malformed("it is empty")
            return MappedFile(
                path, memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            )
    except FileNotFoundError:
        raise Malformed("there is no such file", "check the path") from None
    except ValueError:  # NUL in the path, or emptied between two looks at it
        raise Malformed("there is no such file", "check the path") from None
