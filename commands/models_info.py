"""`reelseek models info`"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from commands.markdown_text import as_text
from commands.models_text import file_size, licence_of
from commands.options import json_option
from commands.terminal import say
from commands.text import printable
from storage.bundles import find
from storage.manifest import Manifest, read_manifest
from weights.listing import all_models, sets_of

MODEL_CARD = "MODEL_CARD.md"

Rows = list[tuple[str, str]]


@click.command(
    epilog="""\b
    Examples:
      reelseek models info lite
      reelseek models info clip
      reelseek models info qd-detr --json
    """
)
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show what a model is, where it comes from, its terms, and what it works with.

    One that ships with reelseek has a model card: what it was trained on, how well it does, and
    what it cannot do. It is printed below the facts.
    """
    manifest = read_manifest(find(name))
    sets = [found for found in sets_of(all_models()) if name in found.members]
    if as_json:
        facts = {**manifest.fields, "path": str(manifest.path)}
        facts["sets"] = [
            {"encoder": found.encoder, "sound": found.sound, "head": found.head} for found in sets
        ]
        click.echo(json.dumps(facts))
        return
    rows = [
        *_facts(manifest),
        *(("works as", " + ".join(found.members)) for found in sets),
    ]
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        click.echo(f"{label.ljust(width)}  {printable(value)}")
    card = manifest.path / MODEL_CARD
    if card.is_file():
        say(f"\n{as_text(card.read_text(encoding='utf-8').strip())}")


def _facts(manifest: Manifest) -> Rows:
    origin = manifest.fields.get("origin") or {}
    rows = [
        ("name", manifest.path.name),
        ("id", manifest.model_id),
        ("kind", manifest.kind),
        ("what", manifest.title),
        ("folder", str(manifest.path)),
        ("size", file_size(manifest.size)),
        ("files", ", ".join(sorted(manifest.checksums))),
    ]
    match manifest.kind:
        case "encoder":
            rows += _encoder(manifest.fields)
        case "head":
            rows += _head(manifest.fields.get("head", {}))
        case "sound":
            sound = manifest.fields.get("sound", {})
            tags = f" and {sound['tags']} tags" if sound.get("tags") else ""
            rows.append(("gives", f"{sound.get('dim')} numbers{tags}"))
            if words := sound.get("words"):
                rows.append(("reads sentences of", str(words.get("encoder"))))
    rows += [(f"licence of {part}", terms) for part, terms in licence_of(manifest).items()]
    if "file" in origin:
        rows.append(("made from", f"{origin['file']} ({origin.get('container')})"))
        rows.append(("its sha256", str(origin.get("sha256"))))
        rows.append(("which is", str(origin.get("is", "not a published file that reelseek knows"))))
    if "source" in origin:
        rows.append(("published at", str(origin["source"])))
    return rows


def _encoder(fields: Mapping[str, Any]) -> Rows:
    image, text = fields.get("image", {}), fields.get("text", {})
    return [
        *([("architecture", str(fields["architecture"]))] if "architecture" in fields else []),
        ("languages", ", ".join(fields.get("languages", []))),
        ("vector", f"{fields.get('dim')} numbers"),
        ("pictures", f"{image.get('width')}x{image.get('height')}, {image.get('fit')}"),
        ("sentences", f"up to {text.get('max_tokens')} tokens"),
    ]


def _head(head: Mapping[str, Any]) -> Rows:
    rows = [
        ("reads pictures", f"{head.get('picture_dim')} numbers per clip"),
        ("reads words", f"{head.get('text_dim')} numbers per token"),
        ("reads sound", f"{head['sound_dim']} numbers" if head.get("sound_dim") else "no"),
        ("clip", f"{head.get('clip_s', 2.0):g} s"),
        ("trained with", _tower(head)),
    ]
    if "missing_features" in head:
        rows.append(("lacks here", str(head["missing_features"])))
    return rows


def _tower(head: Mapping[str, Any]) -> str:
    tower = str(head.get("tower", "an unknown picture tower"))
    if head.get("tower_is_assumed"):
        tower += ", by its sizes (`models import --tower` says otherwise)"
    return tower
