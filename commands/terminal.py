"""What the place that text goes to can show."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TextIO

import click

_PLAIN = str.maketrans({"–": "-", "…": "~", "×": "x", "±": "+/-"})

_PLAIN_TERMINALS = {"dumb", "linux"}
"""Values of TERM whose fonts have no eighths of a block."""


def shows(characters: str) -> bool:
    """Whether standard output can show these characters: its encoding has them, and so has the font
    of the terminal, if it is one."""
    if sys.stdout.isatty() and os.environ.get("TERM") in _PLAIN_TERMINALS:
        return characters.isascii()
    return _encodes(characters, _encoding(sys.stdout))


def width() -> int | None:
    """Columns of the terminal; None where output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str, *, err: bool = False) -> None:
    """Print on standard output, or standard error; what its encoding lacks is written in ASCII."""
    encoding = _encoding(sys.stderr if err else sys.stdout)
    if not _encodes(text, encoding):
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(text, err=err)


def wrapped(line: str, room: int | None) -> list[str]:
    """An indented line, broken between words where it is wider than the terminal; what follows is
    indented further."""
    if room is None:
        return [line]
    further = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line, room, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def _encoding(stream: TextIO) -> str:
    return stream.encoding or "ascii"


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeError:
        return False
    return True
