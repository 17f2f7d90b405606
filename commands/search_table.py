"""The rows of a search as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from commands.sparkline import ASCII, BLOCKS, sparklines
from commands.terminal import shows, width
from commands.text import clock, columns, shown_path, table
from search.answer import Row
from search.grouping import Group
from search.hits import Hit, VideoHit

LEAST_SURE, MOST_SURE = 1, 99
"""Per cent between which probabilities are given."""

LEAST_FILE = 16
"""A file name is not shortened below so many characters."""

FILE, TIMES, SCENE, FOUND_BY = "file", "start–end", "scene", "found by"
CURVE, ALSO, BEST_TIMES, ITS_SCORE = "curve", "also", "best scene start–end", "its score"

SPARED = (CURVE, ALSO, FOUND_BY, ITS_SCORE, SCENE)
"""What a narrow terminal does without, in this order."""


def moment_rows(rows: Sequence[Row], least: float | None) -> list[str]:
    """The lines of the table, its header first; `least` is what a match takes."""
    hits = [row.group.hit for row in rows]
    sure = any(hit.probability is not None for hit in hits)
    curves = sparklines([hit.curve for hit in hits], BLOCKS if shows(BLOCKS) else ASCII)
    cells = {
        "rank": [str(row.rank) for row in rows],
        **(
            {"sure": [percent(hit.probability, least) for hit in hits]}
            if sure
            else {"score": [f"{hit.score:.3f}" for hit in hits]}
        ),
        FILE: [shown_path(hit.video.path) for hit in hits],
        TIMES: [times(hit) for hit in hits],
        SCENE: [str(hit.scene) for hit in hits],
    }
    if any("sound" in hit.found_by for hit in hits):
        cells[FOUND_BY] = [" + ".join(hit.found_by) for hit in hits]
    if any(curves):
        cells[CURVE] = curves
    notes = [_notes(row.group) for row in rows]
    if any(notes):
        cells[ALSO] = notes
    shorter = {TIMES: [short_times(hit) for hit in hits]}
    return _fitted(cells, shorter, right={"rank", "sure", "score", SCENE})


def video_rows(hits: Sequence[VideoHit]) -> list[str]:
    """The lines of the table of whole videos, its header first."""
    cells = {
        "rank": [str(hit.rank) for hit in hits],
        "score": [f"{hit.score:.3f}" for hit in hits],
        FILE: [shown_path(hit.video.path) for hit in hits],
        BEST_TIMES: [times(hit) for hit in hits],
        SCENE: [str(hit.best_scene) for hit in hits],
        ITS_SCORE: [f"{hit.best_scene_score:.3f}" for hit in hits],
    }
    shorter = {BEST_TIMES: [short_times(hit) for hit in hits]}
    return _fitted(cells, shorter, right={"rank", "score", SCENE, ITS_SCORE})


def times(hit: Hit | VideoHit) -> str:
    """From when to when, e.g. "00:02:12.080–00:02:20.080"."""
    return f"{clock(hit.start_s)}–{clock(hit.end_s)}"


def short_times(hit: Hit | VideoHit) -> str:
    """The same in the whole seconds around it, e.g. "00:02:12–00:02:21"."""
    return f"{clock(math.floor(hit.start_s))[:-4]}–{clock(math.ceil(hit.end_s))[:-4]}"


def percent(probability: float | None, least: float | None = None) -> str:
    """E.g. "87 %"; never "100 %" nor "0 %", which no estimate is.

    Beside a `least` to reach it has a decimal where it would seem to lie on the other side of it:
    a hit that is 34.8 % sure does not reach 35 %, and must not look as if it did.
    """
    if probability is None:
        return "-"
    exact = round(100 * probability, 9)
    whole = min(round(exact), MOST_SURE)
    if least is not None and (whole >= round(100 * least, 9)) != (probability >= least):
        rounded = math.floor if probability < least else math.ceil
        return f"{min(rounded(10 * exact) / 10, MOST_SURE + 0.9):.1f} %"
    return f"{whole} %" if exact >= LEAST_SURE else f"<{LEAST_SURE} %"


def threshold(least: float) -> str:
    """A least probability, e.g. "35 %", "0.5 %", "100 %"; to the next decimal above it, as hits
    that reach it are given, for those that a head recommends have many."""
    exact = round(100 * least, 9)
    return f"{exact if exact < LEAST_SURE else math.ceil(10 * exact) / 10:g} %"


def _notes(group: Group) -> str:
    """E.g. "+3 copies, +2 in this scene"."""
    copies, others = len(group.copies), len(group.place.in_scene)
    parts = []
    if copies:
        parts.append(f"+{copies} {'copy' if copies == 1 else 'copies'}")
    if others:
        parts.append(f"+{others} in this scene")
    return ", ".join(parts)


def _fitted(
    cells: dict[str, list[str]], shorter: dict[str, list[str]], right: set[str]
) -> list[str]:
    """The table, in a terminal no wider than that, if shorter cells and fewer columns do it.

    First file names give way, then milliseconds, then one column after the other.
    """
    room = width()
    lines = _lines(cells, right)
    if room is None or _widest(lines) <= room:
        return lines
    longest = max(map(columns, cells[FILE]))
    for kept in _narrower(cells, shorter):
        limit = max(LEAST_FILE, longest - (_widest(_lines(kept, right)) - room))
        files = [_shortened(name, limit) for name in cells[FILE]]
        lines = _lines({**kept, FILE: files}, right)
        if _widest(lines) <= room:
            break
    return lines


def _narrower(
    cells: dict[str, list[str]], shorter: dict[str, list[str]]
) -> Iterator[dict[str, list[str]]]:
    """The columns as they are, then with ever less in them."""
    yield cells
    kept = {**cells, **shorter}
    yield kept
    for spared in SPARED:
        if spared in kept:
            kept = {name: column for name, column in kept.items() if name != spared}
            yield kept


def _lines(cells: dict[str, list[str]], right: set[str]) -> list[str]:
    header = tuple(cells)
    flushed = [number for number, name in enumerate(header) if name in right]
    return table(header, list(zip(*cells.values(), strict=True)), right=flushed).split("\n")


def _widest(lines: Sequence[str]) -> int:
    return max(map(columns, lines))


def _shortened(name: str, limit: int) -> str:
    """The end of a path says most."""
    if columns(name) <= limit:
        return name
    while columns(name) > limit - 1:
        name = name[1:]
    return f"…{name}"
