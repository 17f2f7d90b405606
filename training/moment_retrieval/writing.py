"""Files that are at every moment the old one or the new one, whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.files import removed_on_error, replace, write_synced
from training.moment_retrieval.errors import TrainingError


def write_whole(file: Path, content: bytes) -> None:
    """Write a file beside the old one, then put it in its place; raises `TrainingError`."""
    fresh = file.with_name(file.name + ".new")
    with os_errors(file), removed_on_error(fresh):
        write_synced(fresh, content)
        replace(fresh, file)


@contextmanager
def os_errors(file: Path) -> Iterator[None]:
    """Say in a sentence that a file of the run cannot be written."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{file} cannot be written ({error.strerror or error}): make room or mend the folder, "
            "then go on with --resume."
        ) from error
