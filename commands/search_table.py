"""The rows of a search as a table."""

from __future__ import annotations

from collections.abc import Sequence

from commands.sparkline import ASCII, BLOCKS, sparklines
from commands.terminal import shows, width
from commands.text import clock, columns, shown_path, table
from search.answer import Row
from search.grouping import Group
from search.hits import Hit, VideoHit

LEAST_FILE = 16
"""A file name is not shortened below so many characters."""

FILE, CURVE = "file", "curve"


def moment_rows(rows: Sequence[Row]) -> list[str]:
    """The lines of the table, its header first."""
    hits = [row.group.hit for row in rows]
    sure = any(hit.probability is not None for hit in hits)
    curves = sparklines([hit.curve for hit in hits], BLOCKS if shows(BLOCKS) else ASCII)
    cells = {
        "rank": [str(row.rank) for row in rows],
        **(
            {"sure": [percent(hit.probability) for hit in hits]}
            if sure
            else {"score": [f"{hit.score:.3f}" for hit in hits]}
        ),
        FILE: [shown_path(hit.video.path) for hit in hits],
        "start–end": [times(hit) for hit in hits],
        "scene": [str(hit.scene) for hit in hits],
    }
    if any("sound" in hit.found_by for hit in hits):
        cells["found by"] = [" + ".join(hit.found_by) for hit in hits]
    if any(curves):
        cells[CURVE] = curves
    notes = [_notes(row.group) for row in rows]
    if any(notes):
        cells["also"] = notes
    return _fitted(cells, right={"rank", "sure", "score", "scene"})


def video_rows(hits: Sequence[VideoHit]) -> list[str]:
    """The lines of the table of whole videos, its header first."""
    cells = {
        "rank": [str(hit.rank) for hit in hits],
        "score": [f"{hit.score:.3f}" for hit in hits],
        FILE: [shown_path(hit.video.path) for hit in hits],
        "best scene start–end": [times(hit) for hit in hits],
        "scene": [str(hit.best_scene) for hit in hits],
        "its score": [f"{hit.best_scene_score:.3f}" for hit in hits],
    }
    return _fitted(cells, right={"rank", "score", "scene", "its score"})


def times(hit: Hit | VideoHit) -> str:
    """From when to when, e.g. "00:02:12.080–00:02:20.080"."""
    return f"{clock(hit.start_s)}–{clock(hit.end_s)}"


def percent(probability: float | None) -> str:
    """E.g. "87 %"; never "100 %", which no estimate is."""
    return "-" if probability is None else f"{min(round(100 * probability), 99)} %"


def _notes(group: Group) -> str:
    """E.g. "+3 copies, +2 in this scene"."""
    copies, others = len(group.copies), len(group.place.in_scene)
    parts = []
    if copies:
        parts.append(f"+{copies} {'copy' if copies == 1 else 'copies'}")
    if others:
        parts.append(f"+{others} in this scene")
    return ", ".join(parts)


def _fitted(cells: dict[str, list[str]], right: set[str]) -> list[str]:
    """The table, in a terminal no wider than that, if shorter file names and no curves do it."""
    room = width()
    lines = _lines(cells, right)
    if room is None or _widest(lines) <= room:
        return lines
    longest = max(map(columns, cells[FILE]))
    for kept in (cells, {name: column for name, column in cells.items() if name != CURVE}):
        limit = max(LEAST_FILE, longest - (_widest(_lines(kept, right)) - room))
        files = [_shortened(name, limit) for name in cells[FILE]]
        lines = _lines({**kept, FILE: files}, right)
        if _widest(lines) <= room:
            break
    return lines


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
