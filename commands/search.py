"""`reelseek search`"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from commands.options import db_option, json_option
from commands.search_explain import moment_lines, video_lines
from commands.search_json import moments_object, videos_object
from commands.search_table import moment_rows, threshold, video_rows
from commands.terminal import say, width, wrapped
from commands.text import counted, printable
from search.answer import DEFAULT_MIN_CONFIDENCE, Answer, answer, least_confidence
from search.language import listed, refuse_unread
from search.moments.choice import AUTO, WATERSHED, choose_head
from search.searcher import Searcher
from search.text.choice import text_encoder
from storage.archive import open_snapshot
from storage.bundles import EncoderBundle, load_stamped_encoder
from storage.view import Snapshot

EMPTY = "The archive is empty: `reelseek index add FILE` puts a video in."

FEW_WORDS = 3
"""A query of no more words is not told to have fewer."""


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
    """Find the moments in which QUERY is seen or heard, best first.

    Where nothing is likely to be what was asked for, it says so and shows the nearest misses. Works
    while `index add` runs and on an archive that cannot be written to.
    """
    snapshot = open_snapshot(db)
    encoder = load_stamped_encoder(snapshot.stamp)
    if unread := refuse_unread(query, encoder):
        say(_unread(unread, encoder), err=True)
    used = WATERSHED if by == "video" else head  # whole videos take no head: the lightest will do
    moment_head = choose_head(used, encoder, snapshot.sound_stamp)
    searcher = Searcher(snapshot, text_encoder(encoder), moment_head)
    if by == "video":
        if unused := _unused(head, min_confidence, everything):
            say(unused, err=True)
        videos = searcher.videos(query, top, video)
        if as_json:
            click.echo(json.dumps(videos_object(query, db, snapshot, videos)))
        elif videos:
            notes = [video_lines(hit) for hit in videos] if explain else []
            say(_listing(video_rows(videos), notes))
        else:
            say(EMPTY, err=True)
        return
    least = least_confidence(min_confidence, moment_head)
    found = answer(searcher, query, top, video, least, everything)
    head_id = moment_head.head_id
    if min_confidence is not None and found.rows and found.min_confidence is None:
        say(
            f"The head {head_id} gives no calibrated probabilities: --min-confidence is not used.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(moments_object(query, db, snapshot, head_id, found)))
    elif any(snapshot.videos):
        if found.matched is False:
            say(_nothing(query, video, found, everything))
        if found.rows:
            notes = [moment_lines(row, found, head_id) for row in found.rows] if explain else []
            say(_listing(moment_rows(found.rows, found.min_confidence), notes))
        for line in _advice(query, found):
            say(line, err=True)
        say(_models(snapshot, head_id), err=True)
    else:
        say(EMPTY, err=True)


def _listing(table: list[str], notes: list[list[str]]) -> str:
    """The table, with the notes of each row below it."""
    header, *rows = table
    if not notes:
        return "\n".join(table)
    pairs = zip(rows, notes, strict=True)
    return "\n".join([header, *(line for row, own in pairs for line in (row, *_wrapped(own)))])


def _wrapped(lines: list[str]) -> list[str]:
    room = width()
    return [part for line in lines for part in wrapped(line, room)]


def _nothing(query: str, video: str | None, found: Answer, everything: bool) -> str:
    """That nothing matches, and what the rows below are, if there are any."""
    where = "the archive" if video is None else f"the videos that fit '{printable(video)}'"
    said = f'Nothing in {where} matches "{printable(query)}".'
    if not found.rows or found.min_confidence is None:
        return said
    least = threshold(found.min_confidence)
    if everything:
        return f"{said}\nThe best of what was found, none of it {least} sure:"
    if len(found.rows) == 1:
        return f"{said}\nThe nearest miss, not {least} sure:"
    return f"{said}\nThe nearest misses, none of them {least} sure:"


def _advice(query: str, found: Answer) -> list[str]:
    """What to do about rows that are not shown, or not there."""
    advice = []
    if found.weaker and found.min_confidence is not None:
        advice.append(
            f"{counted(found.weaker, 'weaker hit')} not shown (less than "
            f"{threshold(found.min_confidence)} sure): --all shows what there is."
        )
    if found.matched is False:
        advice.append(
            "Fewer, plainer words may find more: name one thing that is seen or heard."
            if len(query.split()) > FEW_WORDS
            else "Another word for it may find more."
        )
    return advice


def _unused(head: str, min_confidence: float | None, everything: bool) -> str | None:
    """E.g. "Whole videos have no probability: --all and --min-confidence are not used."."""
    given = {
        "--all": everything,
        "--head": head != AUTO,
        "--min-confidence": min_confidence is not None,
    }
    names = [name for name, is_given in given.items() if is_given]
    if not names:
        return None
    verb = "is" if len(names) == 1 else "are"
    return f"Whole videos have no probability: {listed(names, 'and')} {verb} not used."


def _unread(words: Sequence[str], encoder: EncoderBundle) -> str:
    """Which words of the query mean nothing to the encoder."""
    quoted = listed([f'"{printable(word)}"' for word in words], "and")
    return f"{encoder.manifest.model_id} does not read {quoted}: the answer is to the other words."


def _models(snapshot: Snapshot, head_id: str) -> str:
    """E.g. "Pictures: clip-40d36571, sound: cnn14-0dc499e4, moments: qd-detr-1f2e3d4c."."""
    parts = [f"Pictures: {snapshot.stamp.encoder_id}"]
    if snapshot.sound_stamp is not None:
        parts.append(f"sound: {snapshot.sound_stamp.encoder_id}")
    return ", ".join([*parts, f"moments: {head_id}."])
