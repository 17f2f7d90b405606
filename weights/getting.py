"""Published weights, from where their authors put them to a bundle."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from storage.bundles import models_folder
from storage.errors import BundleError
from weights.downloading import Expected, NotFetched, NotOffered, Opener, Progress, fetch
from weights.extras import extra_of, require_extra
from weights.importing import Imported, Wishes, import_weights
from weights.known import OFFERED, KnownFile
from weights.models_folder import check_name, is_taken, name_taken, os_errors

log = logging.getLogger("reelseek.weights")

_DOWNLOADS = ".downloads"
_LOCKS = ".downloads.locks"
"""Beside the downloads, and kept: a lock that is deleted protects nothing from those who wait."""


def find_known(name: str) -> KnownFile:
    """The published weights of a name.

    Raises:
        BundleError: there are none; lists those that there are.
    """
    for known in OFFERED:
        if known.name == name:
            return known
    raise BundleError(
        f"There are no published weights named {name!r}: `reelseek models get` knows "
        f"{', '.join(known.name for known in OFFERED)}; others are brought with `reelseek models "
        "import FILE --as …`."
    )


def get_weights(
    known: KnownFile,
    wishes: Wishes,
    keep: bool,
    progress: Progress,
    opener: Opener | None = None,
) -> tuple[Imported, Path | None]:
    """Fetch published weights and import them.

    The checksum is compared before anything is read from the file.

    Returns:
        The model, and the file as it was fetched if `keep` asks for it.

    Raises:
        BundleError: it cannot be fetched (then the message says how to bring it by hand), has
            another checksum, or cannot be imported; what was fetched then stays for the next time.
    """
    name = known.name if wishes.name is None else wishes.name
    check_name(name)
    _refuse_taken(name, wishes)
    require_extra(extra_of(known.family), f"import {known.title}")
    with _alone_with(known.file) as file:
        _refuse_taken(name, wishes)  # whoever was waited for may have brought it
        with os_errors(models_folder()):
            _fetch(known, name, file, progress, opener)
        imported = import_weights(
            file,
            known.family,
            Wishes(name, wishes.licence, wishes.replace, wishes.head),
        )
        if keep:
            return imported, file
        file.unlink(missing_ok=True)
    return imported, None


def _refuse_taken(name: str, wishes: Wishes) -> None:
    if is_taken(name) and not wishes.replace:
        raise name_taken(name)


@contextlib.contextmanager
def _alone_with(name: str) -> Iterator[Path]:
    """Be the only one who fetches a file, until it is imported; yields where it goes."""
    import filelock

    models = models_folder()
    with os_errors(models):
        (models / _DOWNLOADS).mkdir(parents=True, exist_ok=True)
        (models / _LOCKS).mkdir(exist_ok=True)
        lock = filelock.FileLock(models / _LOCKS / f"{name}.lock")
        try:
            lock.acquire(timeout=2)
        except filelock.Timeout:
            log.info("waiting for another download of %s", name)
            lock.acquire()
    try:
        yield models / _DOWNLOADS / name
    finally:
        lock.release()


def _fetch(
    known: KnownFile, name: str, file: Path, progress: Progress, opener: Opener | None
) -> None:
    """Fetch a file; where that fails, say what else can be done."""
    try:
        fetch(known.url, file, Expected(known.sha256, known.git_blob), progress, opener)
    except NotOffered as error:
        raise NotOffered(
            f"{known.url} could not be fetched ({error}): it may have been moved or withdrawn. If "
            f"you have that file from elsewhere: {by_hand(known, name)}"
        ) from error
    except NotFetched as error:
        raise NotFetched(
            f"{known.url} could not be fetched ({error}). Run the same command again to go on "
            "where it stopped, or fetch that file by hand where there is a network, and then: "
            f"{by_hand(known, name)}"
        ) from error


def by_hand(known: KnownFile, name: str) -> str:
    """The command that imports published weights that were fetched by hand."""
    named = "" if name == known.family else f" --name {name}"
    return f"reelseek models import {known.file} --as {known.family}{named}"
