"""From a weights file to a bundle under a name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.checkpoints import Checkpoint, read_checkpoint
from storage.errors import BundleError
from storage.manifest import Manifest, read_manifest, write_manifest
from weights.families import CNN14, QD_DETR, encoder_family
from weights.known import KnownFile, identify
from weights.models_folder import being_written, check_name, is_taken, name_taken, put_in_place
from weights.moment_head_bundle import write_head
from weights.moment_heads import HeadWishes, read_head
from weights.recognise import Recognised, require_family, unwrapped
from weights.sound_towers import read_sound_tower, write_sound_tower

UNKNOWN_LICENCE = "unknown: the file does not state it"

_UNWRAPPED = (
    "It was saved inside DataParallel: the beginning `module.` that all its names share was left "
    "out."
)

_KINDS = {CNN14: "sound", QD_DETR: "head"}
"""What a word of `--as` makes; all others make encoders."""


@dataclass(frozen=True)
class Wishes:
    """What the user says about a model to import."""

    name: str | None = None
    """Of the bundle; None for the word of `--as`."""
    licence: str | None = None
    replace: bool = False
    """Whether a model of the same name gives way."""
    head: HeadWishes = field(default_factory=HeadWishes)


@dataclass(frozen=True)
class Imported:
    """A model that was imported."""

    manifest: Manifest
    known: KnownFile | None
    """The published file that it was, byte for byte; None if it is none that we know."""
    notes: tuple[str, ...]
    """What its user should know, one sentence each."""


def import_weights(path: Path, word: str, wishes: Wishes = Wishes()) -> Imported:
    """Import a weights file or a Hugging Face folder.

    Nothing that it says is carried out; the models folder holds the whole bundle afterwards, or
    nothing of it.

    Arguments:
        word: one of `weights.families.WORDS`.

    Raises:
        BundleError: the file is refused, unreadable, of another family, or incomplete; a package
            is missing; the name is taken or impossible; or the models folder cannot be written.
    """
    name = word if wishes.name is None else wishes.name
    check_name(name)
    if is_taken(name) and not wishes.replace:
        raise name_taken(name)
    return import_checkpoint(read_checkpoint(path), word, name, wishes)


def import_checkpoint(checkpoint: Checkpoint, word: str, name: str, wishes: Wishes) -> Imported:
    """The same for a checkpoint that was read already, under a name that was checked already."""
    network = unwrapped(checkpoint)
    checkpoint = network or checkpoint
    found = require_family(checkpoint, word)
    _refuse_empty(checkpoint)
    known = identify(checkpoint.sha256, checkpoint.git_blob)
    with being_written() as folder:
        fields, notes = _write(checkpoint, found, wishes.head, known, folder)
        write_manifest(
            folder,
            {**_head_of_manifest(name, checkpoint, word), **fields}
            | {
                "licence": {"weights": _licence(wishes, known)},
                "origin": _origin(checkpoint, known),
            },
        )
        place = put_in_place(folder, name, wishes.replace)
    if network is not None:
        notes = (_UNWRAPPED, *notes)
    return Imported(read_manifest(place), known, notes)


def _refuse_empty(checkpoint: Checkpoint) -> None:
    for name, values in checkpoint.tensors.items():
        if values.size == 0:
            raise BundleError(
                f"{checkpoint.path} is damaged: its tensor {ascii(name)[:80]} has no numbers."
            )


def _write(
    checkpoint: Checkpoint,
    found: Recognised,
    wishes: HeadWishes,
    known: KnownFile | None,
    folder: Path,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Files of the bundle, fields of its manifest, and notes."""
    if found.word == QD_DETR:
        head = read_head(checkpoint, wishes, known)
        fields = write_head(checkpoint, head, folder)
        if head.missing_features is None:
            return fields, ()
        return fields, (
            f"It reads {head.missing_features}, which reelseek does not compute: it can be looked "
            "at and verified, and a search refuses it.",
        )
    if found.word == CNN14:
        return write_sound_tower(checkpoint, read_sound_tower(checkpoint), folder), ()
    from weights.encoders import read_encoder, write_encoder

    family = encoder_family(found.word)
    assert family is not None
    fields = write_encoder(read_encoder(checkpoint, family, found.openai_names), folder)
    if found.openai_names and known is None:
        return fields, (
            "Taken for OpenAI's network (QuickGELU). Weights of open_clip have the same names and "
            "often another activation: bring those as a Hugging Face folder, which says it.",
        )
    return fields, ()


def _head_of_manifest(name: str, checkpoint: Checkpoint, word: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": checkpoint.sha256[:8],
        "kind": _KINDS.get(word, "encoder"),
        "family": word,
    }


def _licence(wishes: Wishes, known: KnownFile | None) -> str:
    return wishes.licence or (known.licence if known else UNKNOWN_LICENCE)


def _origin(checkpoint: Checkpoint, known: KnownFile | None) -> dict[str, str]:
    origin = {
        "file": checkpoint.path.resolve().name,
        "container": checkpoint.container,
        "sha256": checkpoint.sha256,
    }
    if checkpoint.git_blob:
        origin["git_blob"] = checkpoint.git_blob
    if known is not None:
        origin |= {"is": known.title, "source": known.source, "url": known.url}
    return origin


def name_from(source: str) -> str:
    """A name for a bundle out of the last part of a path or of a name on a hub."""
    last = source.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._")[:48] or "encoder"
