"""The folder of brought models: names, and putting a whole bundle in its place in one step.

models/NAME/...       a bundle
models/.work/...      what an import is writing, or was when it was cut off
models/.lock          held while something is written
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from storage.bundles import SHIPPED, find, models_folder
from storage.errors import BundleError
from storage.files import remove as discard
from storage.files import sync_folder
from storage.manifest import MANIFEST

log = logging.getLogger("reelseek.weights")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RESERVED = {"auto", "none", "watershed"}
"""Words that other options take in the place of a model's name."""

_WORK = ".work"
_REPLACED = "replaced-"


def check_name(name: str) -> None:
    """Refuse a name that a bundle cannot have.

    Raises:
        BundleError: says what a name may look like, or who has it.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise BundleError(
            f"{ascii(name)[:80]} cannot be the name of a model: take at most 64 small letters, "
            "digits, dots, dashes and underscores, the first one a letter or digit."
        )
    if name in _RESERVED or (SHIPPED / name).exists():
        raise BundleError(f"{name!r} is a name that reelseek itself uses: choose another --name.")


def is_taken(name: str) -> bool:
    """Whether a brought model, sound or damaged, has this name."""
    return (models_folder() / name).exists()


@contextlib.contextmanager
def being_written() -> Iterator[Path]:
    """Be the only one who writes to the models folder; yields an empty folder to write in.

    What an interrupted import left behind is cleared away. The folder is gone afterwards, however
    the block ends.

    Raises:
        BundleError: the models folder cannot be written, or its disk is full.
    """
    import filelock

    models = models_folder()
    with os_errors(models):
        models.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(models / ".lock")
        try:
            lock.acquire(timeout=2)
        except filelock.Timeout:
            log.info("waiting for another import into %s", models)
            lock.acquire()
    try:
        with os_errors(models):
            _clear(models)
            work = models / _WORK / "new"
            work.mkdir(parents=True)
            yield work
    finally:
        discard(models / _WORK)
        lock.release()


def put_in_place(work: Path, name: str, replace: bool) -> Path:
    """Give a finished bundle its name: one rename, after everything is on the disk.

    Raises:
        BundleError: the name is taken, and `replace` is False.
    """
    target = models_folder() / name
    _sync(work)
    if target.exists() and not replace:
        raise name_taken(name)
    replaced = work.parent / f"{_REPLACED}{name}"
    if target.exists():
        target.rename(replaced)
    try:
        work.rename(target)
    except OSError:
        if replaced.exists():
            replaced.rename(target)
        raise
    sync_folder(target.parent)
    return target


def name_taken(name: str) -> BundleError:
    """The error for a name that another model has."""
    return BundleError(
        f"There is a model named {name!r} already: choose another name with --name, or give "
        "--replace to put this one in its place."
    )


def remove_bundle(name: str) -> int:
    """Delete a brought model; how many bytes that frees.

    Raises:
        BundleError: there is none of that name, it is a shipped one, or it cannot be deleted.
    """
    if (SHIPPED / name / MANIFEST).exists():
        raise BundleError(f"{name!r} is a part of reelseek and stays.")
    folder = models_folder() / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        folder = find(name)  # raises with the names that there are
    freed = sum(file.lstat().st_size for file in folder.iterdir())
    with being_written() as work:
        # A damaged one may lack its manifest, and even be a link; nothing beyond it is touched.
        folder.rename(work / "removed")
        sync_folder(folder.parent)
    return freed


def _clear(models: Path) -> None:
    """Undo what an import that was cut off has left."""
    work = models / _WORK
    if not work.exists():
        return
    for replaced in work.glob(f"{_REPLACED}*"):
        home = models / replaced.name.removeprefix(_REPLACED)
        if not home.exists():  # cut off between the two renames
            replaced.rename(home)
    shutil.rmtree(work)


def _sync(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as opened:
            # Windows lets only writers sync, and writes the data by itself.
            if os.name != "nt":
                os.fsync(opened.fileno())
    sync_folder(folder)


@contextlib.contextmanager
def os_errors(models: Path) -> Iterator[None]:
    """Turn an OSError about the models folder into a BundleError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise BundleError(
                f"The disk under {models} is full, so nothing was brought: free some space, or "
                "name a folder on another disk in $REELSEEK_MODELS."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise BundleError(
                f"{models} cannot be written ({error.strerror}): give yourself write access, or "
                "name another folder for models in $REELSEEK_MODELS."
            ) from error
        raise
