"""`reelseek index remove`"""

from __future__ import annotations

from pathlib import Path

import click

from commands.options import db_option
from commands.text import shown_path
from storage.archive import Archive
from storage.lookup import find_video


@click.command(
    epilog="""\b
    Examples:
      reelseek index remove tape.mp4
      reelseek index remove 3f2a9c81d0e4 --dry-run
    """
)
@click.argument("video")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@db_option
def remove(video: str, dry_run: bool, db: Path) -> None:
    """Take one video out of an archive; the film itself is not touched.

    VIDEO is its path, its file name, or the beginning of its id.
    """
    archive = Archive.open(db)
    _, record = find_video(archive.snapshot(), video)
    name = f"{shown_path(record.path)} ({record.video_id[:12]})"
    if dry_run:
        click.echo(f"Would remove {name}")
        return
    archive.remove(record.video_id)
    click.echo(f"Removed {name}; `reelseek index add` brings it back")
