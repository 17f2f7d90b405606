"""The slow steps of the recipe, each done once and kept in a cache folder."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as unpack
from safetensors.torch import save as pack

from training import dataset, efficientnet_lite, features, minilm, towers, train
from training.heads import TextHead
from training.hidden import HiddenStates, UpperLayers, frozen_states
from training.photos import Photo
from training.photoset import read_pictures
from training.recipe import Tuning
from training.views import squash
from training.vocabulary import imagenet_names

CALIBRATION_STEP = 30
CALIBRATION_PHOTOS = 128
"""The activation ranges come from every 30th photo of the training split, 128 in all; of a small
set, from as many as there are."""

VIEW_SEED = 0

Hashed = str | Sequence[str]
"""What stands for one sentence or one picture in a digest."""


class Workshop:
    """Towers, features and training set made from one photo set, and the folder that keeps them."""

    def __init__(self, images: Path, cache: Path, workers: int) -> None:
        self._images = images
        self._cache = cache
        self._workers = workers

    def image_tower(self, photos: Sequence[Photo]) -> bytes:
        """The int8 picture tower, calibrated on plain training pictures, as an ONNX file."""
        train = [photo for photo in photos if photo.split == "train"]
        step = min(CALIBRATION_STEP, max(1, len(train) // CALIBRATION_PHOTOS))
        chosen = train[::step][:CALIBRATION_PHOTOS]

        def make() -> bytes:
            side = efficientnet_lite.SIZE
            pixels = np.zeros((len(chosen), side, side, 3), np.uint8)
            for row, picture in read_pictures(self._images, chosen):
                pixels[row] = squash(picture)
            return bytes(towers.image_tower(pixels).SerializeToString())

        inputs = [efficientnet_lite.weights_file().read_bytes(), identities(chosen)]
        return self._kept("image-tower", ".onnx", inputs, make)

    def hidden(self, lexicon: dataset.Lexicon, trained: int) -> HiddenStates:
        """What the lower layers of the untouched sentence tower say of the sentences that are
        trained on.
        """
        texts = lexicon.texts[: lexicon.taught]

        def make() -> bytes:
            found = frozen_states(minilm.load(), minilm.load_tokenizer(), texts, trained)
            return pack({"states": found.states, "starts": torch.from_numpy(found.starts)})

        inputs = [minilm.weights_file().read_bytes(), texts, trained]
        tensors = unpack(self._kept(f"hidden-{trained}", ".safetensors", inputs, make))
        return HiddenStates(tensors["states"], tensors["starts"].numpy())

    def sentence_side(
        self,
        data: dataset.TrainingSet,
        lexicon: dataset.Lexicon,
        recipe: Tuning,
        seed: int,
    ) -> tuple[bytes, TextHead]:
        """The sentence tower, its last layers tuned, as an int8 ONNX file, and its text head."""

        def learn() -> bytes:
            network = minilm.load()
            upper = UpperLayers(network, recipe.layers)
            hidden = self.hidden(lexicon, recipe.layers)
            heads = train.tune(data, hidden, upper, recipe, seed)
            return pack(
                {
                    **{f"tower.{name}": value for name, value in network.state_dict().items()},
                    **{f"head.{name}": value for name, value in heads.text.state_dict().items()},
                }
            )

        settings = [lexicon.texts, dataclasses.asdict(recipe), seed]
        inputs = [data.features.numpy().tobytes(), minilm.weights_file().read_bytes(), *settings]
        weights = self._kept("sentence-side", ".safetensors", inputs, learn)
        tensors = unpack(weights)
        network, head = minilm.load(), TextHead(minilm.WIDTH)
        network.load_state_dict(_below("tower.", tensors))
        head.load_state_dict(_below("head.", tensors))
        tower = self._kept(
            "text-tower",
            ".onnx",
            [weights],
            lambda: bytes(towers.text_tower(network, int8=True).SerializeToString()),
        )
        return tower, head

    def sentences(self, tower: bytes, lexicon: dataset.Lexicon) -> dataset.Sentences:
        """Vectors of every sentence of the lexicon."""
        vectors = self._array(
            "sentences",
            tower,
            lexicon.texts,
            (),
            lambda: features.sentence_features(
                tower, minilm.load_tokenizer(), lexicon.texts, self._workers
            ),
        )
        return dataset.Sentences(lexicon, vectors)

    def look(self, tower: bytes, photos: Sequence[Photo], number: int) -> NDArray[np.float16]:
        """Features (photos, f) float16 of one view of each photo."""
        return self._array(
            f"view-{number}",
            tower,
            identities(photos),
            (number, VIEW_SEED),
            lambda: features.photo_features(
                tower, self._images, list(photos), number, VIEW_SEED, self._workers
            ),
        )

    def training_set(
        self, tower: bytes, photos: Sequence[Photo], lexicon: dataset.Lexicon, augmented: int
    ) -> dataset.TrainingSet:
        """The training split: its plain pictures and as many augmented views of each."""
        taught = [photo for photo in photos if photo.split == "train"]
        looks = np.stack([self.look(tower, taught, number) for number in range(1 + augmented)], 1)
        shown = torch.from_numpy(looks)
        rows = lexicon.rows
        return dataset.TrainingSet(
            features=shown,
            beliefs=_beliefs(shown),
            groups=torch.from_numpy(dataset.label_groups(taught)),
            sentences=torch.zeros(0, minilm.WIDTH),
            choices=[rows(dataset.sentences_of(photo)) for photo in taught],
            short_choices=[rows(dataset.short_forms(photo)) for photo in taught],
            class_choices=[rows(dataset.sentences_of_class(names)) for names in imagenet_names()],
        )

    def _array(
        self,
        name: str,
        tower: bytes,
        items: Sequence[Hashed],
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


def identities(photos: Sequence[Photo]) -> list[list[str]]:
    """What the features of photos depend on: the bytes of each picture, and its name, which seeds
    its altered views.
    """
    return [[photo.key, photo.sha256] for photo in photos]


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


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
