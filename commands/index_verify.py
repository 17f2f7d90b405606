"""`reelseek index verify`"""

from __future__ import annotations

from pathlib import Path

import click

from commands.options import db_option
from storage.errors import ArchiveDamaged, ArchiveReadOnly
from storage.verify import verify as problems_of
from storage.verify import verify_view


@click.command(
    epilog="""\b
    Example:
      reelseek index verify --db /mnt/archive/dbs
    """
)
@db_option
def verify(db: Path) -> None:
    """Check every record and file of an archive against its checksum; changes nothing."""
    checked = "every checksum is right"
    try:
        problems = problems_of(db)
    except ArchiveReadOnly:  # LevelDB cannot be opened without writing
        problems = verify_view(db)
        checked = "it cannot be written, so only what a search reads was checked: all is right"
    for problem in problems:
        click.echo(problem)
    if problems:
        raise ArchiveDamaged(
            f"{db} has {len(problems)} problem(s), listed above. Damage in view/ mends itself at "
            "the next `reelseek index add`; for damage in the ledger, remove the videos named and "
            "add them again."
        )
    click.echo(f"{db}: {checked}")
