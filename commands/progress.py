"""Progress of one video: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from commands.text import clock, shown_path
from indexer.intake import ProgressFor
from indexer.pipeline import Progress

LINE_EVERY_S = 30.0


def progress_for(files: int) -> ProgressFor:
    """What shows the progress of each of `files` videos, on stderr."""
    show = _bar if sys.stderr.isatty() else _lines
    started = 0

    @contextmanager
    def one_video(path: Path, duration_s: float | None) -> Iterator[Progress]:
        nonlocal started
        started += 1
        number = "" if files == 1 else f"[{started}/{files}] "
        label = number + shown_path(str(path) if files == 1 else path.name)
        with show(label, duration_s) as progress:
            yield progress

    return one_video


@contextmanager
def _bar(label: str, duration_s: float | None) -> Iterator[Progress]:
    from tqdm import tqdm  # type: ignore[import-untyped]

    began = time.monotonic()
    with tqdm(
        total=duration_s,
        leave=False,
        bar_format="|{bar:20}| {desc}",
        file=sys.stderr,
    ) as bar:

        def progress(position_s: float) -> None:
            bar.n = min(position_s, duration_s or position_s)
            status = _status(position_s, duration_s, time.monotonic() - began)
            bar.set_description_str(f"{status}  {label}")

        yield progress


@contextmanager
def _lines(label: str, duration_s: float | None) -> Iterator[Progress]:
    began = shown = time.monotonic()

    def progress(position_s: float) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= LINE_EVERY_S:
            shown = now
            click.echo(f"{label}: {_status(position_s, duration_s, now - began)}", err=True)

    yield progress


def _status(position_s: float, duration_s: float | None, elapsed_s: float) -> str:
    """E.g. "00:10:00 of 01:30:00, 24.1 × real time, ETA 00:03:19"."""
    speed = position_s / max(elapsed_s, 1e-3)
    parts = [clock(position_s)[:8], f"{speed:.1f} × real time"]
    if duration_s:
        parts[0] += f" of {clock(duration_s)[:8]}"
        if speed > 0:
            parts.append(f"ETA {clock(max(0.0, duration_s - position_s) / speed)[:8]}")
    return ", ".join(parts)
