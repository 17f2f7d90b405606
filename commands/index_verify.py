"""`reelseek index verify`"""

from __future__ import annotations

from pathlib import Path

import click

from commands.options import db_option
from storage.errors import ArchiveDamaged
from storage.verify import verify as problems_of


@click.command(
    epilog="""\b
    Example:
      reelseek index verify --db /mnt/archive/dbs
    """
)
@db_option
def verify(db: Path) -> None:
    """Check every record and file of an archive against its checksum; changes nothing."""
    problems = problems_of(db)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise ArchiveDamaged(
            f"{db} has {len(problems)} problem(s), listed above. Damage in view/ mends itself at "
            "the next `reelseek index add`; for damage in the ledger, remove the videos named and "
            "add them again."
        )
    click.echo(f"{db}: every checksum is right")
