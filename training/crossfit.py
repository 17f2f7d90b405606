"""Image heads that never saw a part of the training photos:
python -m training.crossfit --images ../shared/images --bundle storage/bundles/lite --out FILE.npz

An encoder puts the photos it was trained on closer to their captions than photos it meets for the
first time. What is composed of training photos, such as the moment head's tapes, would be easier
than any film. So the training photos are dealt into folds, and for each fold an image head is
trained on the others, towards the finished sentence side, which stays: its vectors of the fold's
photos are as far from their captions as those of an unknown picture.
"""

import argparse
import dataclasses
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import recover
from training.dataset import Lexicon, Sentences, TrainingSet
from training.evaluate import Vectors
from training.heads import ImageHead, TextHead
from training.photos import Photo
from training.photoset import read_photos
from training.recipe import Recipe
from training.train import new_heads, train
from training.workshop import Workshop

FOLDS = 4


@dataclass(frozen=True)
class Crossfit:
    """Fold heads, and which photo belongs to which."""

    heads: tuple[ImageHead, ...]
    """Head number k was trained without the photos of fold k."""

    def fold_of(self, photo: Photo) -> int:
        """The fold of a training photo; any other photo was seen by none, and gets one of them."""
        return fold_of(photo, len(self.heads))

    @torch.inference_mode()
    def project(self, photo: Photo, features: NDArray[np.float16]) -> Vectors:
        """Unit vectors (n, 256) of any pictures (n, 2096) that were made from a photo."""
        rows = torch.from_numpy(np.asarray(features, np.float32))
        vectors: Vectors = self.heads[self.fold_of(photo)](rows).numpy()
        return vectors


def fold_of(photo: Photo, folds: int = FOLDS) -> int:
    """Decided by the photo's name alone, so that every program deals alike."""
    return zlib.crc32(f"fold {photo.key}".encode()) % folds


def load(path: Path) -> Crossfit:
    """What `main` has written."""
    with np.load(path) as file:
        folds = int(file["folds"])
        return Crossfit(tuple(_head(file, fold) for fold in range(folds)))


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    photos = read_photos(arguments.images)
    workshop = Workshop(arguments.images, arguments.cache, workers=1)
    image, text = (arguments.bundle / name for name in ("image.onnx", "text.onnx"))
    _, full = recover.image_part(image.read_bytes(), image)
    image_tower = workshop.image_tower(photos)  # heads learn from single looks
    text_tower, text_head = recover.text_part(text.read_bytes(), text)
    lexicon = Lexicon(photos)
    recipe = Recipe(hidden=len(full.widen.bias))
    data = workshop.training_set(image_tower, photos, lexicon, recipe.augmented_views)
    sentences = workshop.sentences(text_tower, lexicon)
    data = dataclasses.replace(data, sentences=sentences.vectors)

    taught = [photo for photo in photos if photo.split == "train"]
    folds = np.array([fold_of(photo, arguments.folds) for photo in taught])
    heads = [
        fold_head(data, folds == fold, recipe, arguments.seed + fold, text_head)
        for fold in range(arguments.folds)
    ]
    _save(arguments.out, heads, taught, folds)
    val = [photo for photo in photos if photo.split == "val"]
    seen, unseen = data.features[:, 0], torch.from_numpy(workshop.look(image_tower, val, 0))
    own = torch.zeros(len(taught), heads[0].project.out_features)
    with torch.inference_mode():
        for fold, head in enumerate(heads):
            own[folds == fold] = head(seen[folds == fold].float())
        whole, new = full(seen.float()), full(unseen.float())
    figures = {
        "train photos, full head": _nearness(taught, whole, sentences, text_head),
        "train photos, fold heads": _nearness(taught, own, sentences, text_head),
        "val photos, full head": _nearness(val, new, sentences, text_head),
    }
    print(json.dumps(figures))


def fold_head(
    data: TrainingSet,
    left_out: NDArray[np.bool_],
    recipe: Recipe,
    seed: int,
    text: TextHead,
) -> ImageHead:
    """A head trained on all photos but those left out (photos,), towards a text head that stays."""
    kept = _without(data, left_out)
    return train(
        kept, recipe, seed, new_heads(kept, recipe, seed, text.requires_grad_(False))
    ).image


def _without(data: TrainingSet, left_out: NDArray[np.bool_]) -> TrainingSet:
    """The training set without some of its photos."""
    kept = np.flatnonzero(~left_out)
    rows = torch.from_numpy(kept)
    return dataclasses.replace(
        data,
        features=data.features[rows],
        beliefs=data.beliefs[rows],
        groups=data.groups[rows],
        choices=[data.choices[row] for row in kept],
        short_choices=[data.short_choices[row] for row in kept],
    )


@torch.inference_mode()
def _nearness(
    photos: Sequence[Photo], vectors: torch.Tensor, sentences: Sentences, text: TextHead
) -> float:
    """Mean cosine of photos (those with captions) and their own captions."""
    rows = [(row, caption) for row, photo in enumerate(photos) for caption in photo.captions]
    words = text(sentences.of([caption for _, caption in rows]))
    cosines = (vectors[[row for row, _ in rows]] * words).sum(dim=1)
    return round(float(cosines.mean()), 3)


def _save(
    path: Path, heads: Sequence[ImageHead], photos: Sequence[Photo], folds: NDArray[np.int64]
) -> None:
    weights = {
        f"{fold}/{name}": value.numpy()
        for fold, head in enumerate(heads)
        for name, value in head.state_dict().items()
    }
    keys = np.array([photo.key for photo in photos])
    np.savez(path, folds=len(heads), keys=keys, fold_of=folds, **weights)


def _head(file: np.lib.npyio.NpzFile, fold: int) -> ImageHead:
    state = {name: torch.from_numpy(file[f"{fold}/{name}"]) for name in recover.IMAGE_WEIGHTS}
    head = ImageHead(state["mean"], state["deviation"], len(state["widen.bias"]), 0.0, 0.0)
    head.load_state_dict(state)
    return head.eval().requires_grad_(False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, default=Path("../shared/images"))
    parser.add_argument("--bundle", type=Path, default=Path("storage/bundles/lite"))
    parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/reelseek-training").expanduser()
    )
    parser.add_argument("--out", type=Path, required=True, help="file of fold heads (.npz)")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--seed", type=int, default=100)
    return parser.parse_args()


if __name__ == "__main__":
    main()
