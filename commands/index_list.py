"""`reelseek index list`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from commands.options import db_option, json_option
from commands.text import clock, shown_path, table
from storage.archive import open_snapshot


@click.command(
    "list",
    epilog="""\b
    Examples:
      reelseek index list
      reelseek index list --json
    """,
)
@json_option
@db_option
def list_videos(as_json: bool, db: Path) -> None:
    """List the videos of an archive."""
    snapshot = open_snapshot(db)
    videos = sorted((video for _, video in snapshot.live_videos()), key=lambda video: video.path)
    if as_json:
        rows = [
            {
                "video_id": video.video_id,
                "path": video.path,
                "copies": [place.path for place in video.locations[1:]],
                "duration_s": round(video.duration_s, 3),
                "indexed_at": video.indexed_at,
            }
            for video in videos
        ]
        click.echo(
            json.dumps(
                {
                    "database": str(db.absolute()),
                    "encoder": snapshot.stamp.encoder_id,
                    "generation": snapshot.generation,
                    "videos": rows,
                }
            )
        )
        return
    if not videos:
        click.echo("The archive is empty: `reelseek index add FILE` puts a video in.", err=True)
        return
    lines = [
        (video.video_id[:12], clock(video.duration_s), shown_path(place.path))
        for video in videos
        for place in video.locations
    ]
    click.echo(table(("id", "length", "file"), lines, right=[1]))
