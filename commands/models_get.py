"""`reelseek models get`"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from commands.models_import import report
from commands.models_text import file_size
from commands.text import table
from weights.downloading import Progress
from weights.getting import find_known, get_weights
from weights.importing import Wishes
from weights.known import OFFERED

LINE_EVERY_S = 30.0


@click.command(
    epilog="""\b
    Examples:
      reelseek models get
      reelseek models get clip
      reelseek models get clip-vit-l-14 --name clip-large
    """
)
@click.argument("published", metavar="[NAME]", required=False)
@click.option("--name", help="What to call it here.  [default: NAME]")
@click.option("--replace", is_flag=True, help="Take the place of a model of the same name.")
@click.option("--keep", is_flag=True, help="Keep the file that was fetched.")
def get(published: str | None, name: str | None, replace: bool, keep: bool) -> None:
    """Fetch published weights from their authors, check them, and import them.

    Without NAME, lists what there is. A download that was cut off goes on where it stopped.
    """
    if published is None:
        rows = [(known.name, known.title, known.licence.partition(" (")[0]) for known in OFFERED]
        click.echo(table(("name", "what", "licence"), rows))
        return
    known = find_known(published)
    click.echo(f"Fetching {known.url}", err=True)
    with _progress(known.file) as progress:
        imported, kept = get_weights(known, Wishes(name, replace=replace), keep, progress)
    report(imported)
    if kept is not None:
        click.echo(f"The file that was fetched is {kept}")


@contextmanager
def _progress(file: str) -> Iterator[Progress]:
    """A bar on a terminal, a line now and then in a pipe."""
    if sys.stderr.isatty():
        from tqdm import tqdm  # type: ignore[import-untyped]

        with tqdm(desc=file, unit="B", unit_scale=True, leave=False, file=sys.stderr) as bar:

            def move(done: int, total: int | None) -> None:
                if total is not None:
                    bar.total = total
                bar.update(done - bar.n)

            yield move
        return
    shown = time.monotonic()

    def say(done: int, total: int | None) -> None:
        nonlocal shown
        if time.monotonic() - shown >= LINE_EVERY_S:
            shown = time.monotonic()
            of = f" of {file_size(total)}" if total else ""
            click.echo(f"{file}: {file_size(done)}{of}", err=True)

    yield say
