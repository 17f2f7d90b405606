"""`reelseek search`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from commands.options import db_option, json_option
from commands.search_explain import moment_lines, video_lines
from commands.search_json import moments_object, videos_object
from commands.search_table import moment_rows, percent, video_rows
from commands.terminal import say
from commands.text import counted, printable
from search.answer import DEFAULT_MIN_CONFIDENCE, Answer, answer, least_confidence
from search.language import refuse_unread
from search.moments.choice import AUTO, choose_head
from search.searcher import Searcher
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
      reelseek search "car on fire" --min-confidence 0.6 --explain
      reelseek search "car on fire" --json | jq '.hits[0]'
    """
)
@click.argument("query")
@click.option(
    "--top",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many rows. Copies, and other hits of the same scene, are in the row of the best.",
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
    help="What finds the exact moments in the shortlisted segments: lite-moments, watershed, or a "
    "QD-DETR that `models import` brought; auto takes one that fits the archive, else watershed.",
)
@click.option(
    "--min-confidence",
    metavar="P",
    type=click.FloatRange(0.0, 1.0),
    help="How likely a hit must be right, 0 to 1, to count as a match.  [default: what the head "
    f"recommends, else {DEFAULT_MIN_CONFIDENCE}]",
)
@click.option("--all", "everything", is_flag=True, help="Show what is less likely as well.")
@click.option("--explain", is_flag=True, help="Say under each row which stage put it where.")
@json_option
@db_option
def search(
    query: str,
    top: int,
    video: str | None,
    by: str,
    head: str,
    min_confidence: float | None,
    everything: bool,
    explain: bool,
    as_json: bool,
    db: Path,
) -> None:
    """Find the moments in which QUERY is seen, best first.

    Where nothing is likely to be what was asked for, it says so and shows the nearest misses. Works
    while `index add` runs and on an archive that cannot be written to.
    """
    snapshot = open_snapshot(db)
    encoder = load_stamped_encoder(snapshot.stamp)
    refuse_unread(query, encoder)
    moment_head = choose_head(head, encoder, snapshot.sound_stamp)
    searcher = Searcher(snapshot, text_encoder(encoder), moment_head)
    if by == "video":
        if min_confidence is not None:
            click.echo("Whole videos have no probability: --min-confidence is not used.", err=True)
        videos = searcher.videos(query, top, video)
        if as_json:
            click.echo(json.dumps(videos_object(query, db, snapshot, videos)))
        elif videos:
            notes = [video_lines(hit) for hit in videos] if explain else []
            say(_listing(video_rows(videos), notes))
        else:
            _say_empty()
        return
    least = least_confidence(min_confidence, moment_head)
    found = answer(searcher, query, top, video, least, everything)
    head_id = moment_head.head_id
    if min_confidence is not None and found.rows and found.min_confidence is None:
        click.echo(
            f"The head {head_id} gives no calibrated probabilities: --min-confidence is not used.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(moments_object(query, db, snapshot, head_id, found)))
    elif found.rows:
        if found.matched is False:
            say(_nothing(query, found))
        notes = [moment_lines(row, found, head_id) for row in found.rows] if explain else []
        say(_listing(moment_rows(found.rows), notes))
        if found.weaker:
            click.echo(_weaker(found), err=True)
        click.echo(_models(snapshot, head_id), err=True)
    else:
        _say_empty()


def _listing(table: list[str], notes: list[list[str]]) -> str:
    """The table, with the notes of each row below it."""
    header, *rows = table
    if not notes:
        return "\n".join(table)
    pairs = zip(rows, notes, strict=True)
    return "\n".join([header, *(line for row, own in pairs for line in (row, *own))])


def _nothing(query: str, found: Answer) -> str:
    return (
        f'Nothing in the archive matches "{printable(query)}".\n'
        f"The nearest misses, none of them {percent(found.min_confidence)} sure:"
    )


def _weaker(found: Answer) -> str:
    return (
        f"{counted(found.weaker, 'weaker hit')} not shown (less than "
        f"{percent(found.min_confidence)} sure): --all shows what there is."
    )


def _say_empty() -> None:
    click.echo("The archive is empty: `reelseek index add FILE` puts a video in.", err=True)


def _models(snapshot: Snapshot, head_id: str) -> str:
    """E.g. "Pictures: clip-40d36571, sound: cnn14-0dc499e4, moments: qd-detr-1f2e3d4c."."""
    parts = [f"Pictures: {snapshot.stamp.encoder_id}"]
    if snapshot.sound_stamp is not None:
        parts.append(f"sound: {snapshot.sound_stamp.encoder_id}")
    return ", ".join([*parts, f"moments: {head_id}."])
