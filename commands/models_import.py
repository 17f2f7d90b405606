"""`reelseek models import`"""

from __future__ import annotations

from pathlib import Path

import click

from commands.models_text import file_size
from commands.text import printable
from weights.families import QD_DETR, WORDS
from weights.finished import import_bundle, is_finished
from weights.importing import Imported, Wishes, import_weights
from weights.listing import all_models, sets_of
from weights.moment_heads import HeadWishes


@click.command(
    "import",
    epilog="""\b
    Examples:
      reelseek models import ViT-B-32.pt --as clip
      reelseek models import siglip-base-patch16-224/ --as siglip --licence Apache-2.0
      reelseek models import model_best.ckpt --as qd-detr --name my-head
      reelseek models import my-archive-bundle/ --name mine
    """,
)
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--as",
    "word",
    type=click.Choice(WORDS),
    help="What FILE is; only a finished bundle says it by itself.",
)
@click.option(
    "--name",
    help="What to call it here.  [default: the word after --as, or the name that a finished bundle "
    "has]",
)
@click.option(
    "--licence",
    metavar="TEXT",
    help="The terms of the weights, to be shown with them.  [default: those of a published file "
    "that reelseek knows]",
)
@click.option("--replace", is_flag=True, help="Take the place of a model of the same name.")
@click.option(
    "--sound-dim",
    type=click.IntRange(0),
    metavar="NUMBER",
    help="Of a moment head: numbers of sound that it reads per clip, 0 for none, where its file "
    "does not say it.",
)
@click.option(
    "--heads",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Of a moment head: attention heads, where its file does not say it.",
)
@click.option(
    "--tower",
    metavar="NAME",
    help="Of a moment head: the picture tower that it was trained with, such as ViT-B/32.  "
    "[default: what its sizes suggest]",
)
def import_model(
    file: Path,
    word: str | None,
    name: str | None,
    licence: str | None,
    replace: bool,
    sound_dim: int | None,
    heads: int | None,
    tower: str | None,
) -> None:
    """Bring a model: official weights as they are published, or your own.

    FILE is a .pt, .pth, .ckpt or .safetensors, a Hugging Face folder, or the folder of a finished
    bundle, such as `python -m training.lite` writes. It is read for its numbers only: whatever
    else it asks for is refused.
    """
    head = HeadWishes(sound_dim, heads, tower)
    if word is None:
        if not is_finished(file):
            raise click.UsageError(
                "Say with --as what FILE is: only the folder of a finished bundle (with a "
                "manifest.json) can do without."
            )
        if head != HeadWishes():
            raise click.UsageError("--sound-dim, --heads and --tower are for --as qd-detr only.")
        report(import_bundle(file, Wishes(name, licence, replace)))
        return
    if head != HeadWishes() and word != QD_DETR:
        raise click.UsageError("--sound-dim, --heads and --tower are for --as qd-detr only.")
    click.echo(f"Reading {printable(str(file))}", err=True)
    report(import_weights(file, word, Wishes(name, licence, replace, head)))


def report(imported: Imported) -> None:
    """Say what was imported, as what, and what to do with it."""
    manifest = imported.manifest
    click.echo(
        f"Imported {manifest.title} as {manifest.name!r} ({manifest.model_id}, "
        f"{file_size(manifest.size)})"
    )
    if imported.known is not None:
        click.echo(f"This is {imported.known.title}, byte for byte.")
    else:
        click.echo("This is not a published file that reelseek knows.")
    for note in imported.notes:
        click.echo(note)
    sets = [found for found in sets_of(all_models()) if manifest.name in found.members]
    for found in sets:
        click.echo(f"Works as {' + '.join(found.members)}")
    if manifest.kind == "head":
        if not sets and not manifest.fields["head"].get("missing_features"):
            click.echo("Nothing that is here fits it yet: see `reelseek models list`.")
        return
    option = "--encoder" if manifest.kind == "encoder" else "--sound"
    click.echo(f"Use it: reelseek index add FILM --db NEW_ARCHIVE {option} {manifest.name}")
