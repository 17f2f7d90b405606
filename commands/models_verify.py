"""`reelseek models verify`"""

from __future__ import annotations

import click

from commands.text import counted, printable
from storage.bundles import find, installed
from storage.errors import BundleError, ReelseekError
from storage.manifest import read_manifest


@click.command(
    epilog="""\b
    Examples:
      reelseek models verify
      reelseek models verify clip qd-detr
    """
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Compare every file of the models with its checksum; changes nothing.

    Without NAME, of all models.
    """
    folders = [find(name) for name in names] or installed()
    damaged = 0
    for folder in folders:
        try:
            read_manifest(folder).verify()
        except ReelseekError as error:
            damaged += 1
            click.echo(printable(str(error)))
        else:
            click.echo(f"{folder.name}: every checksum is right")
    if damaged:
        raise BundleError(
            f"{counted(damaged, 'model')} of {len(folders)} cannot be used, see above: bring each "
            "again with `reelseek models get` or `models import`, with --replace."
        )
