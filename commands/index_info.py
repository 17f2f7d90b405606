"""`reelseek index info`"""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import click

from commands.options import db_option, json_option
from commands.text import clock
from storage.archive import open_snapshot
from storage.lookup import find_video
from storage.records import VideoRecord


@click.command(
    epilog="""\b
    Examples:
      reelseek index info tape.mp4
      reelseek index info 3f2a9c81d0e4 --json
    """
)
@click.argument("video")
@json_option
@db_option
def info(video: str, as_json: bool, db: Path) -> None:
    """Show what an archive knows of one video.

    VIDEO is its path, its file name, or the beginning of its id.
    """
    snapshot = open_snapshot(db)
    row, record = find_video(snapshot, video)
    rows_of = snapshot.video_rows[row]
    scenes = snapshot.scene_table[rows_of.scenes]
    clips = rows_of.clips.stop - rows_of.clips.start
    if as_json:
        facts = dataclasses.asdict(record)
        facts["path"] = record.path
        facts["duration_s"] = record.duration_s
        facts["clips"] = clips
        facts["encoder"] = snapshot.stamp.encoder_id
        facts["sound_encoder"] = snapshot.sound_stamp and snapshot.sound_stamp.encoder_id
        facts["scenes"] = [
            {
                "number": int(scene["number"]),
                "start_s": float(scene["start_s"]),
                "end_s": float(scene["end_s"]),
            }
            for scene in scenes
        ]
        click.echo(json.dumps(facts))
        return
    rows = [
        ("file", record.path),
        *(("also at", place.path) for place in record.locations[1:]),
        ("id", record.video_id),
        ("sha256", record.sha256),
        ("length", clock(record.duration_s)),
        ("first frame at", clock(record.start_s)),
        ("start timecode", record.start_timecode or "none recorded"),
        ("picture", _picture(record)),
        ("container", record.container),
        ("sound", "yes" if record.has_audio else "no"),
        ("scenes", f"{len(scenes):,}"),
        ("clips", f"{clips:,}"),
        ("encoder", snapshot.stamp.encoder_id),
        ("sound encoder", snapshot.sound_stamp.encoder_id if snapshot.sound_stamp else "none"),
        ("indexed at", record.indexed_at),
        *(("note", note) for note in record.notes),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name.ljust(width)}  {value}")


def _picture(record: VideoRecord) -> str:
    """E.g. "1920x1080, 29.970 fps (30000/1001), h264, yuv420p, interlaced"."""
    parts = [f"{record.width}x{record.height}"]
    rate = Fraction(record.frame_rate)
    if rate:
        parts.append(f"{float(rate):.3f} fps ({record.frame_rate})")
    parts += [record.codec, record.pixel_format]
    if record.interlaced:
        parts.append("interlaced")
    if record.rotation:
        parts.append(f"turned by {record.rotation}°")
    return ", ".join(parts)
