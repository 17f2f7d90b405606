"""Markdown as text for a terminal: enough for the model cards of bundles.

Headings are underlined, tables have their columns aligned, paragraphs are filled anew, and the
marks of emphasis, code and links go. What is not recognised stays as it is written.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

from commands.text import table

LINE = 88
"""Columns that paragraphs are filled to."""

WIDEST_TABLE = 100
"""Columns of a table that is shown as one."""

_RULES = {1: "=", 2: "-"}
"""What underlines a heading, by its level."""

_HEADING = re.compile(r"(#{1,6}) +(.*)")
_ITEM = re.compile(r"( *)([-*+]|\d+[.)]) +")
_FENCE = re.compile(r" *(```|~~~)")
_DIVIDER = re.compile(r"\|?( *:?-+:? *\|)+( *:?-+:? *)?")


def as_text(markdown: str) -> str:
    """The text of a Markdown document."""
    return "\n\n".join("\n".join(block) for block in _blocks(markdown.split("\n")) if block)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    for fenced, chunk in _split_at_fences(lines):
        if fenced:
            yield [f"    {line}".rstrip() for line in chunk]
            continue
        for blank, group in groupby(chunk, key=lambda line: not line.strip()):
            if not blank:
                yield from _paragraphs(list(group))


def _split_at_fences(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """Runs of lines outside of code fences (False) and inside them (True), without the fences."""
    chunk: list[str] = []
    inside = False
    for line in lines:
        if _FENCE.match(line):
            yield inside, chunk
            chunk, inside = [], not inside
        else:
            chunk.append(line)
    yield inside, chunk


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """The blocks of some lines without a blank one among them."""
    if any(_DIVIDER.fullmatch(line.strip()) for line in lines) and lines[0].lstrip().startswith(
        "|"
    ):
        yield _table(lines)
        return
    if heading := _HEADING.match(lines[0]):
        title = _plain(heading[2])
        rule = _RULES.get(len(heading[1]))
        yield [title, rule * len(title)] if rule else [title]
        if lines[1:]:
            yield from _paragraphs(lines[1:])
        return
    yield [row for item in _items(lines) for row in _filled(item)]


def _items(lines: list[str]) -> list[list[str]]:
    """Lines that are filled as one: each item of a list, or the whole paragraph."""
    items: list[list[str]] = []
    for line in lines:
        if not items or _ITEM.match(line):
            items.append([])
        items[-1].append(line)
    return items


def _filled(lines: list[str]) -> list[str]:
    mark = _ITEM.match(lines[0])
    indent = " " * len(mark[0]) if mark else ""
    text = _plain(" ".join(line.strip() for line in lines))
    own = mark[1] if mark else ""
    return textwrap.wrap(
        text,
        LINE,
        initial_indent=own,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(lines: list[str]) -> list[str]:
    """Columns aligned; where they take too much room, each row as its cells one below the other."""
    rows = [_cells(line) for line in lines if not _DIVIDER.fullmatch(line.strip())]
    columns = max(map(len, rows))
    header, *body = ([*row, *[""] * (columns - len(row))] for row in rows)
    aligned = table(header, body).split("\n")
    if max(map(len, aligned)) <= WIDEST_TABLE:
        return ["-" * max(map(len, aligned)) if n == 1 else row for n, row in _ruled(aligned)]
    stacked = []
    for first, *others in body:
        stacked += textwrap.wrap(f"{header[0]}: {first}" if header[0] else first, LINE)
        for name, cell in zip(header[1:], others, strict=True):
            label = f"{name}: " if name else ""
            stacked += textwrap.wrap(
                label + cell, LINE, initial_indent="    ", subsequent_indent="      "
            )
    return stacked


def _ruled(rows: list[str]) -> Iterator[tuple[int, str]]:
    """Numbered rows with an empty one, number 1, below the first."""
    return enumerate([rows[0], "", *rows[1:]])


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [_plain(cell.replace("\\|", "|").strip()) for cell in re.split(r"(?<!\\)\|", inner)]


def _plain(text: str) -> str:
    """Without the marks of emphasis, code and links; an address stays, in brackets."""
    text = re.sub(r"!?\[([^\]]*)\]\(([^)\s]+)[^)]*\)", _link, text)
    text = re.sub(r"<(https?://[^>\s]+)>", r"\1", text)
    pieces = re.split(r"(`+)(.+?)\1", text)
    # Outside of code, every third piece, stars and underscores are emphasis.
    for number in range(0, len(pieces), 3):
        pieces[number] = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", pieces[number])
        pieces[number] = re.sub(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", pieces[number])
    return "".join(piece for number, piece in enumerate(pieces) if number % 3 != 1)


def _link(found: re.Match[str]) -> str:
    words, target = found[1], found[2]
    return f"{words} ({target})" if "://" in target and words != target else words
