"""`reelseek search`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from commands.options import db_option, json_option
from commands.text import clock, shown_path, table
from search.moments.choice import AUTO, choose_head
from search.searcher import Hit, Searcher, VideoHit
from search.text.choice import text_encoder
from storage.archive import open_snapshot
from storage.bundles import load_stamped_encoder
from storage.view import Snapshot


@click.command(
    epilog="""\b
    Examples:
      reelseek search "pass miss scene"
      reelseek search "a dog in snow" --top 3 --video 'holiday*.mp4'
      reelseek search "interview in an office" --by video
      reelseek search "car on fire" --json | jq '.hits[0]'
    """
)
@click.argument("query")
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many hits."
)
@click.option("--video", metavar="GLOB", help="Only in videos whose path, file name or id fits.")
@click.option(
    "--by",
    default="moment",
    show_default=True,
    type=click.Choice(["moment", "video"]),
    help="What is ranked: moments, or whole videos by the mean of their scenes.",
)
@click.option(
    "--head",
    default=AUTO,
    show_default=True,
    metavar="NAME",
    help="What finds the exact moments in the shortlisted segments: watershed, or a QD-DETR that "
    "`models import` brought; auto takes one that fits the archive, else watershed.",
)
@json_option
@db_option
def search(
    query: str, top: int, video: str | None, by: str, head: str, as_json: bool, db: Path
) -> None:
    """Find the moments in which QUERY is seen, best first.

    Works while `index add` runs and on an archive that cannot be written to.
    """
    snapshot = open_snapshot(db)
    encoder = load_stamped_encoder(snapshot.stamp)
    moment_head = choose_head(head, encoder, snapshot.sound_stamp)
    searcher = Searcher(snapshot, text_encoder(encoder), moment_head)
    hits: list[Hit] | list[VideoHit]
    if by == "video":
        hits = searcher.videos(query, top, video)
        listing = _video_listing(hits)
    else:
        hits = searcher.moments(query, top, video)
        listing = _moment_listing(hits)
    if as_json:
        head_id = None if by == "video" else moment_head.head_id
        click.echo(json.dumps(_as_object(query, db, snapshot, head_id, hits)))
    elif hits:
        click.echo(listing)
        if by == "moment":
            click.echo(_models(snapshot, moment_head.head_id), err=True)
    else:
        click.echo("The archive is empty: `reelseek index add FILE` puts a video in.", err=True)


def _models(snapshot: Snapshot, head_id: str) -> str:
    """E.g. "Pictures: clip-40d36571, sound: cnn14-0dc499e4, moments: qd-detr-1f2e3d4c."."""
    parts = [f"Pictures: {snapshot.stamp.encoder_id}"]
    if snapshot.sound_stamp is not None:
        parts.append(f"sound: {snapshot.sound_stamp.encoder_id}")
    return ", ".join([*parts, f"moments: {head_id}."])


def _moment_listing(hits: list[Hit]) -> str:
    by_sound = any("sound" in hit.found_by for hit in hits)
    rows = [
        (
            str(hit.rank),
            f"{hit.score:.3f}",
            shown_path(hit.video.path),
            f"{clock(hit.start_s)}–{clock(hit.end_s)}",
            str(hit.scene),
            *([" + ".join(hit.found_by)] if by_sound else []),
        )
        for hit in hits
    ]
    header = ("rank", "score", "file", "start–end", "scene", *(["found by"] if by_sound else []))
    return table(header, rows, right=[0, 1, 4])


def _video_listing(hits: list[VideoHit]) -> str:
    rows = [
        (
            str(hit.rank),
            f"{hit.score:.3f}",
            shown_path(hit.video.path),
            f"{clock(hit.start_s)}–{clock(hit.end_s)}",
            str(hit.best_scene),
            f"{hit.best_scene_score:.3f}",
        )
        for hit in hits
    ]
    header = ("rank", "score", "file", "best scene start–end", "scene", "its score")
    return table(header, rows, right=[0, 1, 4, 5])


def _as_object(
    query: str, db: Path, snapshot: Snapshot, head: str | None, hits: list[Hit] | list[VideoHit]
) -> dict[str, Any]:
    return {
        "query": query,
        "database": str(db.absolute()),
        "encoder": snapshot.stamp.encoder_id,
        "sound": snapshot.sound_stamp and snapshot.sound_stamp.encoder_id,
        "head": head,
        "generation": snapshot.generation,
        "hits": [_hit_object(hit) for hit in hits],
    }


def _hit_object(hit: Hit | VideoHit) -> dict[str, Any]:
    scene, stages = (
        (hit.scene, hit.stages) if isinstance(hit, Hit) else (hit.best_scene, _stages(hit))
    )
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "video_id": hit.video.video_id,
        "path": hit.video.path,
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "scene": scene,
        **({"found_by": list(hit.found_by)} if isinstance(hit, Hit) else {}),
        "stages": {name: round(value, 4) for name, value in stages.items()},
    }


def _stages(hit: VideoHit) -> dict[str, float]:
    heard = {"heard": hit.heard} if hit.heard else {}
    return {"best_scene_similarity": hit.best_scene_score, **heard}
