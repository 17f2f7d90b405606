"""`reelseek models list`"""

from __future__ import annotations

import json
from typing import Any

import click

from commands.models_text import file_size, licence_of
from commands.options import json_option
from commands.text import printable, table
from storage.bundles import models_folder
from storage.manifest import Manifest
from weights.listing import Model, Set, all_models, sets_of

_WIDEST_LICENCE = 36


@click.command(
    "list",
    epilog="""\b
    Examples:
      reelseek models list
      reelseek models list --json
    """,
)
@json_option
def list_models(as_json: bool) -> None:
    """List the models that are there, and which of them work together."""
    models = all_models()
    sets = sets_of(models)
    if as_json:
        click.echo(json.dumps(_as_object(models, sets)))
        return
    rows = [_row(model) for model in models]
    click.echo(table(("name", "kind", "what", "size", "licence"), rows, right=[3]))
    for line in _lines(sets):
        click.echo(line)
    for model in models:
        if model.damage:
            click.echo(f"{model.name}: {printable(model.damage)}", err=True)


def _row(model: Model) -> tuple[str, ...]:
    if model.manifest is None:
        return (model.name, "damaged", "", "", "")
    manifest = model.manifest
    return (
        model.name,
        manifest.kind,
        printable(manifest.title),
        file_size(manifest.size),
        printable(_short_licence(manifest)),
    )


def _short_licence(manifest: Manifest) -> str:
    """The first words of each term: `models info` prints them whole."""
    short = ", ".join(
        terms.partition(" (")[0].partition(";")[0] for terms in licence_of(manifest).values()
    )
    return short if len(short) <= _WIDEST_LICENCE else f"{short[: _WIDEST_LICENCE - 1]}…"


def _lines(sets: list[Set]) -> list[str]:
    if not sets:
        return []
    return ["", "These work together:", *(f"  {' + '.join(found.members)}" for found in sets)]


def _as_object(models: list[Model], sets: list[Set]) -> dict[str, Any]:
    return {
        "folder": str(models_folder()),
        "models": [_model_object(model) for model in models],
        "sets": [
            {"encoder": found.encoder, "sound": found.sound, "head": found.head} for found in sets
        ],
    }


def _model_object(model: Model) -> dict[str, Any]:
    if model.manifest is None:
        return {"name": model.name, "path": str(model.folder), "damage": model.damage}
    manifest = model.manifest
    return {
        "name": model.name,
        "id": manifest.model_id,
        "kind": manifest.kind,
        "title": manifest.title,
        "bytes": manifest.size,
        "licence": licence_of(manifest),
        "path": str(model.folder),
    }
