"""The slow steps of the recipe, each done once and kept in a cache folder."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import dataset, efficientnet_lite, features, minilm, towers
from training.photos import Photo, read_pictures
from training.views import squash
from training.vocabulary import imagenet_names

CALIBRATION_STEP = 30
CALIBRATION_PHOTOS = 128
"""The activation ranges come from every 30th photo of the training split, 128 in all."""

VIEW_SEED = 0


class Workshop:
    """Towers, features and training set made from one photo set, and the folder that keeps them."""

    def __init__(self, images: Path, cache: Path, workers: int) -> None:
        self._images = images
        self._cache = cache
        self._workers = workers

    def image_tower(self, photos: Sequence[Photo]) -> bytes:
        """The int8 picture tower, calibrated on plain training pictures, as an ONNX file."""
        train = [photo for photo in photos if photo.split == "train"]
        chosen = train[::CALIBRATION_STEP][:CALIBRATION_PHOTOS]

        def make() -> bytes:
            side = efficientnet_lite.SIZE
            pixels = np.zeros((len(chosen), side, side, 3), np.uint8)
            for row, picture in read_pictures(self._images, chosen):
                pixels[row] = squash(picture)
            return bytes(towers.image_tower(pixels).SerializeToString())

        inputs = [efficientnet_lite.weights_file().read_bytes(), [photo.key for photo in chosen]]
        return self._kept("image-tower", ".onnx", inputs, make)

    def text_tower(self) -> bytes:
        """The int8 sentence tower, as an ONNX file."""
        inputs = [minilm.weights_file().read_bytes()]
        return self._kept(
            "text-tower",
            ".onnx",
            inputs,
            lambda: bytes(towers.text_tower(int8=True).SerializeToString()),
        )

    def sentences(self, tower: bytes, photos: Sequence[Photo]) -> dataset.Sentences:
        """Vectors of every sentence of the photo set and the vocabulary."""
        texts = dataset.all_sentences(photos)
        vectors = self._array(
            "sentences",
            tower,
            texts,
            (),
            lambda: features.sentence_features(
                tower, minilm.load_tokenizer(), texts, self._workers
            ),
        )
        return dataset.Sentences(texts, vectors)

    def look(self, tower: bytes, photos: Sequence[Photo], number: int) -> NDArray[np.float16]:
        """Features (photos, f) float16 of one view of each photo."""
        keys = [photo.key for photo in photos]
        return self._array(
            f"view-{number}",
            tower,
            keys,
            (number, VIEW_SEED),
            lambda: features.photo_features(
                tower, self._images, list(photos), number, VIEW_SEED, self._workers
            ),
        )

    def training_set(
        self, tower: bytes, photos: Sequence[Photo], sentences: dataset.Sentences, augmented: int
    ) -> dataset.TrainingSet:
        """The training split: its plain pictures and as many augmented views of each."""
        train = [photo for photo in photos if photo.split == "train"]
        looks = np.stack([self.look(tower, train, number) for number in range(1 + augmented)], 1)
        shown = torch.from_numpy(looks)
        return dataset.TrainingSet(
            features=shown,
            beliefs=_beliefs(shown),
            groups=torch.from_numpy(dataset.label_groups(train)),
            sentences=sentences.vectors,
            choices=[sentences.rows(dataset.sentences_of(photo)) for photo in train],
            class_choices=[
                sentences.rows(dataset.sentences_of_class(names)) for names in imagenet_names()
            ],
        )

    def _array(
        self,
        name: str,
        tower: bytes,
        items: Sequence[str],
        settings: Sequence[object],
        make: Callable[[], NDArray[np.float16]],
    ) -> NDArray[np.float16]:
        """Features (items, f) that `tower` gives the items under these settings."""
        inputs = [tower, items, *settings]
        content = self._kept(name, ".f16", inputs, lambda: make().tobytes())
        return np.frombuffer(content, np.float16).reshape(len(items), -1).copy()

    def _kept(
        self, name: str, suffix: str, inputs: Sequence[object], make: Callable[[], bytes]
    ) -> bytes:
        """What `make` returns, kept under a digest of its inputs: other inputs never meet an old
        file. Code is no input: empty the folder after changing how something is made.
        """
        path = self._cache / f"{name}-{digest(inputs)[:16]}{suffix}"
        if not path.exists():
            print(f"making {path.name}", flush=True)
            self._cache.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}.partial")
            unfinished.write_bytes(make())
            unfinished.replace(path)
        return path.read_bytes()


def digest(inputs: Sequence[object]) -> str:
    """SHA-256 of bytes and of anything that JSON can write, in order."""
    total = hashlib.sha256()
    for entry in inputs:
        content = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()


@torch.inference_mode()
def _beliefs(shown: torch.Tensor) -> torch.Tensor:
    """Logits (photos, views, 1000) float16 of the classifier for features (photos, views, f)
    float16.
    """
    network = efficientnet_lite.load()
    return torch.stack(
        [network.classify(shown[:, view].float()).half() for view in range(shown.shape[1])],
        dim=1,
    )
