"""`reelseek search`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from commands.options import db_option, json_option
from commands.text import clock, shown_path, table
from search.moments.base import MomentHead
from search.searcher import Hit, Searcher, VideoHit
from search.text.base import TextEncoder
from storage.archive import open_snapshot
from storage.bundles import load_bundle
from storage.view import Snapshot

HEADS = ("watershed",)


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
    default=HEADS[0],
    show_default=True,
    type=click.Choice(HEADS),
    help="What finds the exact moments in the shortlisted segments.",
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
    searcher = Searcher(snapshot, _text_encoder(snapshot), _moment_head(head))
    hits: list[Hit] | list[VideoHit]
    if by == "video":
        hits = searcher.videos(query, top, video)
        listing = _video_listing(hits)
    else:
        hits = searcher.moments(query, top, video)
        listing = _moment_listing(hits)
    if as_json:
        click.echo(json.dumps(_as_object(query, db, snapshot, head, hits)))
    elif hits:
        click.echo(listing)
    else:
        click.echo("The archive is empty: `reelseek index add FILE` puts a video in.", err=True)


def _text_encoder(snapshot: Snapshot) -> TextEncoder:
    """The text side of the encoder that made the archive."""
    from search.text.lite import LiteTextEncoder

    name = snapshot.stamp.encoder_id.rpartition("-")[0]
    return LiteTextEncoder(load_bundle(name))


def _moment_head(_name: str) -> MomentHead:
    from search.moments.watershed import Watershed

    return Watershed()


def _moment_listing(hits: list[Hit]) -> str:
    rows = [
        (
            str(hit.rank),
            f"{hit.score:.3f}",
            shown_path(hit.video.path),
            f"{clock(hit.start_s)}–{clock(hit.end_s)}",
            str(hit.scene),
        )
        for hit in hits
    ]
    return table(("rank", "score", "file", "start–end", "scene"), rows, right=[0, 1, 4])


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
    query: str, db: Path, snapshot: Snapshot, head: str, hits: list[Hit] | list[VideoHit]
) -> dict[str, Any]:
    return {
        "query": query,
        "database": str(db.absolute()),
        "encoder": snapshot.stamp.encoder_id,
        "head": head,
        "generation": snapshot.generation,
        "hits": [_hit_object(hit) for hit in hits],
    }


def _hit_object(hit: Hit | VideoHit) -> dict[str, Any]:
    scene, stages = (
        (hit.scene, hit.stages)
        if isinstance(hit, Hit)
        else (hit.best_scene, {"best_scene_similarity": hit.best_scene_score})
    )
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "video_id": hit.video.video_id,
        "path": hit.video.path,
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "scene": scene,
        "stages": {name: round(value, 4) for name, value in stages.items()},
    }
