"""What the place that text goes to can show."""

from __future__ import annotations

import os
import shutil
import sys

import click

_PLAIN = str.maketrans({"–": "-", "…": "~", "×": "x"})

_PLAIN_TERMINALS = {"dumb", "linux"}
"""Values of TERM whose fonts have no eighths of a block."""


def shows(characters: str) -> bool:
    """Whether standard output can show these characters: its encoding has them, and so has the font
    of the terminal, if it is one."""
    if sys.stdout.isatty() and os.environ.get("TERM") in _PLAIN_TERMINALS:
        return characters.isascii()
    return _encodes(characters)


def width() -> int | None:
    """Columns of the terminal; None where output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Print on standard output; what its encoding lacks is written in ASCII."""
    if not _encodes(text):
        encoding = _encoding()
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(text)


def _encoding() -> str:
    return sys.stdout.encoding or "ascii"


def _encodes(text: str) -> bool:
    try:
        text.encode(_encoding())
    except UnicodeError:
        return False
    return True
