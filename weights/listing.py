"""Which of the models that are there work together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search.moments.fitting import misfit
from storage.bundles import (
    EncoderBundle,
    HeadBundle,
    SoundBundle,
    installed,
    load_encoder,
    load_head,
    load_sound,
)
from storage.errors import ReelseekError
from storage.manifest import Manifest, read_manifest


@dataclass(frozen=True)
class Model:
    """A bundle that is there, sound or not."""

    name: str
    folder: Path
    manifest: Manifest | None
    """None if it cannot be read."""
    damage: str | None
    """Why it cannot be read."""


@dataclass(frozen=True)
class Set:
    """Models that work together, by name."""

    encoder: str
    head: str
    sound: str | None
    """The sound tower that the head needs; None if it needs none."""

    @property
    def members(self) -> tuple[str, ...]:
        """All of them, pictures first."""
        return (self.encoder, *([self.sound] if self.sound else []), self.head)


def all_models() -> list[Model]:
    """Every bundle, shipped ones first."""
    models = []
    for folder in installed():
        try:
            models.append(Model(folder.name, folder, read_manifest(folder), None))
        except ReelseekError as error:
            models.append(Model(folder.name, folder, None, str(error)))
    return models


def sets_of(models: list[Model]) -> list[Set]:
    """Every encoder, moment head and (where the head needs one) sound tower that fit together."""
    encoders, heads, sounds = _loaded(models)
    return [
        found for encoder in encoders for head in heads for found in _sets(encoder, head, sounds)
    ]


def _sets(encoder: EncoderBundle, head: HeadBundle, sounds: list[SoundBundle]) -> Iterator[Set]:
    names = encoder.manifest.path.name, head.manifest.path.name
    if not head.sound_dim:
        if misfit(head, encoder, None) is None:
            yield Set(*names, None)
        return
    for sound in sounds:
        if misfit(head, encoder, sound.stamp) is None:
            yield Set(*names, sound.manifest.path.name)


def _loaded(
    models: list[Model],
) -> tuple[list[EncoderBundle], list[HeadBundle], list[SoundBundle]]:
    encoders: list[EncoderBundle] = []
    heads: list[HeadBundle] = []
    sounds: list[SoundBundle] = []
    for model in models:
        try:
            match model.manifest and model.manifest.kind:
                case "encoder":
                    encoders.append(load_encoder(model.name))
                case "head":
                    heads.append(load_head(model.name))
                case "sound":
                    sounds.append(load_sound(model.name))
        except ReelseekError:  # incomplete: listed, and fits nothing
            continue
    return encoders, heads, sounds
