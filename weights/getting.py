"""Published weights, from where their authors put them to a bundle."""

from __future__ import annotations

from pathlib import Path

from storage.bundles import models_folder
from storage.errors import BundleError
from weights.downloading import Expected, NotFetched, Opener, Progress, fetch
from weights.extras import extra_of, require_extra
from weights.importing import Imported, Wishes, import_weights
from weights.known import OFFERED, KnownFile
from weights.models_folder import check_name, is_taken, name_taken, os_errors

_DOWNLOADS = ".downloads"


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
    name = wishes.name or known.name
    check_name(name)
    if is_taken(name) and not wishes.replace:
        raise name_taken(name)
    require_extra(extra_of(known.family), f"import {known.title}")
    folder = models_folder() / _DOWNLOADS
    file = folder / known.file
    with os_errors(models_folder()):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fetch(known.url, file, Expected(known.sha256, known.git_blob), progress, opener)
        except NotFetched as error:
            raise NotFetched(
                f"{known.url} could not be fetched ({error}). Run the same command again to go on "
                "where it stopped, or fetch that file by hand where there is a network, and then: "
                f"{by_hand(known, name)}"
            ) from error
    imported = import_weights(
        file,
        known.family,
        Wishes(name, wishes.licence, wishes.replace, wishes.head),
    )
    if keep:
        return imported, file
    file.unlink(missing_ok=True)
    return imported, None


def by_hand(known: KnownFile, name: str) -> str:
    """The command that imports published weights that were fetched by hand."""
    named = "" if name == known.family else f" --name {name}"
    return f"reelseek models import {known.file} --as {known.family}{named}"
