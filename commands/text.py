"""How times, paths and tables are written for people."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def clock(seconds: float) -> str:
    """Seconds as HH:MM:SS.mmm, e.g. 3723.5 as "01:02:03.500"; a sign in front if negative."""
    milliseconds = round(abs(seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    sign = "-" if seconds < 0 and (minutes or milliseconds) else ""
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


def shown_path(path: str) -> str:
    """A path as short as it can be typed from here: relative below the working directory."""
    with contextlib.suppress(ValueError, OSError):
        path = str(Path(path).relative_to(Path.cwd()))
    return printable(path)


def printable(text: str) -> str:
    """A text with line breaks, escape sequences and bytes that are no UTF-8 made visible."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def counted(count: int, noun: str) -> str:
    """E.g. "1 scene", "3 scenes"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns under a header; the columns numbered in `right` are flushed right."""
    lines = [header, *rows]
    widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]

    def padded(number: int, cell: str) -> str:
        blanks = " " * (widths[number] - columns(cell))
        return blanks + cell if number in right else cell + blanks

    return "\n".join(
        "  ".join(padded(number, cell) for number, cell in enumerate(line)).rstrip()
        for line in lines
    )


def columns(text: str) -> int:
    """How many columns of a terminal a line takes: two for a Chinese character, none for an accent
    that stands on the letter before it."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
