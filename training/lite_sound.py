"""Makes the default sound bundle: python -m training.lite_sound --sounds ../shared/sounds
--images ../shared/images --out storage/bundles/lite-sound
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import random
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.text.choice import text_encoder
from storage.bundles import DEFAULT_ENCODER, EncoderBundle, load_encoder
from training import efficientnet_lite
from training.photos import read_table as read_photos
from training.sound import bundle, calibrate, dataset, judge, wording
from training.sound.dataset import Sound
from training.sound.network import Choir, SoundTower, Words
from training.sound.refit import carried, refit
from training.sound.sentences import Sentences
from training.sound.train import Recipe, TrainingSet, train

CAPTIONS = {"train": 1500, "val": 500, "test": 500}
"""Sentences about pictures that stand for everything that is typed and not heard."""

Spectra = Sequence[NDArray[np.float16]]


@dataclasses.dataclass(frozen=True, repr=False)
class Material:
    """Everything that training, judging and calibrating read."""

    sounds: list[Sound]
    spectra: Spectra
    narrow: list[str]
    wide: list[str]
    sentences: Sentences
    captions: dict[str, list[str]]
    """By split."""

    @property
    def labels(self) -> list[str]:
        """Narrow ones first."""
        return self.narrow + self.wide

    def part(self, split: str) -> tuple[list[Sound], Spectra]:
        """The sounds of a split, and their spectra."""
        rows = [row for row, sound in enumerate(self.sounds) if sound.split == split]
        return [self.sounds[row] for row in rows], [self.spectra[row] for row in rows]

    def typed(self, label: str) -> list[str]:
        """All that may be typed for a label."""
        given = [s for sound in self.sounds if sound.label == label for s in sound.sentences]
        return wording.sentences_of(label, given)

    def training_set(self) -> TrainingSet:
        """The training split."""
        sounds, spectra = self.part("train")
        return TrainingSet(
            sounds=sounds,
            spectra=spectra,
            labels=self.labels,
            narrow=len(self.narrow),
            choices=[self.sentences.of(self.typed(label)) for label in self.labels],
            captions=self.sentences.of(self.captions["train"]),
        )

    def everything(self) -> Tensor:
        """(texts, width): all sentences that are typed in training, in a fixed order."""
        framed = [text for label in self.labels for text in wording.framed(self.typed(label))]
        return self.sentences.of([*framed, *self.captions["train"]])

    def framed(self, data: TrainingSet) -> TrainingSet:
        """The same with every wording in every frame."""
        texts = [wording.framed(self.typed(label)) for label in self.labels]
        return dataclasses.replace(data, choices=[self.sentences.of(framed) for framed in texts])


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)  # one order of sums: the bytes do not depend on the number of cores
    recipe = Recipe(**{name: getattr(arguments, name) for name in _fields()})
    encoder = load_encoder(arguments.encoder)
    material = read(arguments.sounds, arguments.images, arguments.cache, encoder)
    data = material.training_set()
    if arguments.towers is None:
        towers, words = learn(data, recipe, arguments.seed, arguments.members)
    else:
        towers, typed = bundle.read_weights(arguments.towers, data.narrow, arguments.members)
        words = carried(material.everything(), typed)
    if arguments.keep is not None:
        typed = words(material.everything())
        bundle.keep_weights(arguments.keep, towers, typed, encoder.manifest.model_id)
    words = refit(towers, words, material.framed(data), recipe, arguments.seed)
    for split in arguments.judge:
        for line in figures(material, split, towers, words):
            print(line, flush=True)
    bank, weights = calibrated(material, towers, words)
    print(f"calibration {weights}")
    for split in arguments.judge:
        print(reliability(material, split, towers, words, bank, weights), flush=True)
    if arguments.out is not None:
        facts = origin(arguments, recipe, encoder)
        bundle.write(arguments.out, towers, words, bank, weights, encoder, data.sounds, facts)


def learn(data: TrainingSet, recipe: Recipe, seed: int, members: int) -> tuple[Choir, Words]:
    """Train towers one after the other, the later ones towards the words of the first."""
    first, words = train(data, recipe, seed, _say)
    others = [
        train(data, recipe, seed + number, _say, towards=words)[0] for number in range(1, members)
    ]
    return Choir([first, *others]).eval().requires_grad_(False), words


def read(sounds: Path, images: Path, cache: Path, encoder: EncoderBundle) -> Material:
    """Decode the sounds, or take them from the cache, and encode what is typed."""
    table = dataset.read_table(sounds)
    captions: dict[str, list[str]] = {}
    for split in CAPTIONS:
        found = [p.captions[0] for p in read_photos(images) if p.split == split and p.captions]
        random.Random(0).shuffle(found)
        captions[split] = found[: CAPTIONS[split]]
    return Material(
        sounds=table,
        spectra=dataset.spectra(sounds, table, cache),
        narrow=dataset.narrow_labels(table),
        wide=dataset.wide_labels(table),
        sentences=Sentences(text_encoder(encoder), cache),
        captions=captions,
    )


@torch.inference_mode()
def figures(material: Material, split: str, towers: Choir, words: Words) -> list[str]:
    """One line for each way of asking."""
    sounds, spectra = material.part(split)
    ways = {
        "label words": dict(zip(material.narrow, material.narrow, strict=True)),
        "unseen wordings": wording.UNSEEN,
    }
    lines = []
    for cut, what in ((64, ""), (judge.BINS_TO_8_KHZ, ", all cut at 8 kHz")):
        vectors = judge.sound_vectors(towers, spectra, cut)
        for name, asked in ways.items():
            texts = words(material.sentences.of(list(asked.values())))
            found = judge.judge(sounds, vectors, dict(zip(asked, texts, strict=True)))
            lines.append(f"{split}, {name}{what}: {found}")
    return lines


@torch.inference_mode()
def _queries(material: Material, split: str, words: Words) -> tuple[Tensor, list[int]]:
    """What is typed, (queries, dim), and the label of each, -1 for a sentence about a picture."""
    texts, owners = [], []
    for number, label in enumerate(material.labels):
        typed = material.typed(label)
        texts += typed
        owners += [number] * len(typed)
    absent = material.captions[split]
    return words(material.sentences.of([*texts, *absent])), owners + [-1] * len(absent)


def _film(
    material: Material, split: str, towers: Choir, words: Words
) -> tuple[Tensor, Tensor, Tensor]:
    """Window vectors, queries, and (windows, queries) how far each is heard."""
    sounds, spectra = material.part(split)
    vectors, heard = calibrate.film_windows(towers, sounds, spectra, material.labels)
    queries, owners = _queries(material, split, words)
    told = torch.cat([heard, torch.zeros(len(heard), 1)], dim=1)[:, owners]
    return vectors, queries, told


def calibrated(
    material: Material, towers: Choir, words: Words
) -> tuple[Tensor, calibrate.Calibration]:
    """The bank, as it will be stored, and the weights of the log-odds, fitted on the val split."""
    sounds, spectra = material.part("train")
    bank = calibrate.bank(sounds, judge.sound_vectors(towers, spectra)).half().float()
    vectors, queries, heard = _film(material, "val", towers, words)
    return bank, calibrate.fit(vectors, heard, queries, bank)


def reliability(
    material: Material,
    split: str,
    towers: Choir,
    words: Words,
    bank: Tensor,
    weights: calibrate.Calibration,
) -> str:
    """How well the probabilities of a split hold."""
    vectors, queries, heard = _film(material, split, towers, words)
    odds = weights.odds(vectors @ queries.T, queries, bank)
    return (
        f"{split}, as in films: calibration error {calibrate.calibration_error(odds, heard):.3f}, "
        f"heard told from not heard {calibrate.separation(odds, heard):.3f}"
    )


def origin(arguments: argparse.Namespace, recipe: Recipe, encoder: EncoderBundle) -> dict[str, Any]:
    """Where the weights come from, for the manifest."""
    sources = {
        "efficientnet-lite2.pth": efficientnet_lite.weights_file(),
        "sounds/metadata.jsonl.gz": arguments.sounds / dataset.METADATA,
    }
    return {
        "packages": {name: version(name) for name in (efficientnet_lite.PACKAGE, "torch")},
        "sha256": {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()
        },
        "sounds": sorted({sound.source for sound in dataset.read_table(arguments.sounds)}),
        "command": "python -m training.lite_sound --sounds ../shared/sounds "
        "--images ../shared/images --out storage/bundles/lite-sound"
        + ("" if arguments.towers is None else f" --towers {arguments.towers.name}"),
        "towers_trained_with": encoder.manifest.model_id
        if arguments.towers is None
        else bundle.kept_with(arguments.towers),
        "recipe": dataclasses.asdict(recipe),
        "seeds": [arguments.seed + number for number in range(arguments.members)],
    }


def _say(epoch: int, tower: SoundTower, words: Words, line: str) -> None:
    print(json.dumps({"epoch": epoch, "run": line}), flush=True)


def _fields() -> list[str]:
    return [f.name for f in dataclasses.fields(Recipe) if f.name != "augmentation"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--sounds", type=Path, default=Path("../shared/sounds"), help="sound set")
    parser.add_argument("--images", type=Path, default=Path("../shared/images"), help="captions")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER, help="whose text tower is shared")
    parser.add_argument("--out", type=Path, help="folder of the bundle; without it none is written")
    parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/reelseek-training").expanduser()
    )
    parser.add_argument("--keep", type=Path, help="file for the trained weights, .safetensors")
    parser.add_argument(
        "--towers", type=Path, help="what --keep wrote: the words alone are fitted anew"
    )
    parser.add_argument("--members", type=int, default=2, help="towers that are heard as one")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the next has the next")
    parser.add_argument("--judge", nargs="*", default=["val"], choices=["val", "test"])
    for field in dataclasses.fields(Recipe):
        if field.name in _fields():
            flag = "--" + field.name.replace("_", "-")
            parser.add_argument(flag, type=type(field.default), default=field.default)
    return parser.parse_args()


if __name__ == "__main__":
    main()
