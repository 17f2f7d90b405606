"""Writes the folder of the bundle, and keeps weights between two runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from storage.bundles import EncoderBundle
from storage.manifest import write_manifest
from training.sound import calibrate, export
from training.sound.calibrate import Calibration
from training.sound.dataset import Sound
from training.sound.network import DIM, Choir, SoundTower, Words

ASSETS = Path(__file__).parent / "assets"
_TEXT_TOWER, _TYPED, _TOWERS = "text_tower", "typed", "towers."
SHIPPED_TEXTS = ("LICENSE", "NOTICE", "MODEL_CARD.md")

LICENCE = {
    "trunk": "Apache-2.0 (begun from EfficientNet-Lite2; see LICENSE)",
    "weights": (
        "trained on sounds of ESC-50 and UrbanSound8K (CC BY-NC 3.0) among others: for "
        "non-commercial use; see NOTICE and MODEL_CARD.md before any commercial use"
    ),
}


def write(
    folder: Path,
    towers: Choir,
    words: Words,
    bank: Tensor,
    weights: Calibration,
    encoder: EncoderBundle,
    trained_on: Sequence[Sound],
    origin: Mapping[str, Any],
) -> None:
    """Replace the files one by one, the manifest last: until it stands, a reader sees that the old
    one does not fit."""
    files = {
        "sound.onnx": export.sound_graph(towers).SerializeToString(),
        "words.onnx": export.words_graph(words).SerializeToString(),
        "bank.f16": bank.numpy().astype("<f2").tobytes(),
        "CREDITS.txt": credits(trained_on).encode(),
        **{name: (ASSETS / name).read_bytes() for name in SHIPPED_TEXTS},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        unfinished = folder.with_name(f".{folder.name}-{name}.partial")
        unfinished.write_bytes(content)
        os.replace(unfinished, folder / name)
    write_manifest(
        folder, {**_fields(weights, encoder), "licence": LICENCE, "origin": dict(origin)}
    )


def _fields(weights: Calibration, encoder: EncoderBundle) -> dict[str, Any]:
    return {
        "name": "lite-sound",
        "version": "1.0",
        "kind": "sound",
        "title": "A small log-mel network that shares a space with MiniLM sentences",
        "sound": {
            "file": "sound.onnx",
            "network": "onnx",
            "input": export.WAVES,
            "output": export.VECTORS,
            "dim": DIM,
            "tags": 0,
            "words": {
                "file": "words.onnx",
                "input": export.SENTENCE,
                "output": export.VECTORS,
                "encoder": encoder.manifest.name,
                "text_sha256": encoder.manifest.checksums[encoder.text.file.name],
            },
            "calibration": {
                "bank": "bank.f16",
                "nearest": calibrate.NEAREST,
                "bias": weights.bias,
                "cosine": weights.cosine,
                "bank_mean": weights.bank_mean,
                "bank_nearest": weights.bank_nearest,
            },
        },
    }


def credits(sounds: Sequence[Sound]) -> str:
    """Whose sounds were trained on, and under which terms, as the set states them."""
    counts = Counter((sound.source, sound.licence) for sound in sounds)
    lines = [
        f"{source}: {licence}, {count} {'sound' if count == 1 else 'sounds'}"
        for (source, licence), count in sorted(counts.items())
    ]
    return "Sounds that lite-sound was trained on. None is contained in it.\n\n" + "".join(
        f"{line}\n" for line in lines
    )


def keep_weights(file: Path, towers: Choir, typed: Tensor, text_tower: str) -> None:
    """Write the towers of a run, and what their words say.

    Args:
        typed: (texts, dim), the words' vectors of all that was typed in training.
        text_tower: id of the encoder whose sentence vectors the words read.
    """
    state = {f"{_TOWERS}{name}": value for name, value in towers.state_dict().items()}
    tensors = {name: value.contiguous() for name, value in {**state, _TYPED: typed}.items()}
    save_file(tensors, file, metadata={_TEXT_TOWER: text_tower})


def kept_with(file: Path) -> str:
    """Whose sentence vectors the run read that `keep_weights` wrote."""
    with safe_open(file, "pt") as opened:
        return str(opened.metadata()[_TEXT_TOWER])


def read_weights(file: Path, classes: int, members: int) -> tuple[Choir, Tensor]:
    """The towers of `keep_weights`, and what their words said."""
    state: dict[str, Tensor] = load_file(file)
    typed = state.pop(_TYPED)
    towers = Choir([SoundTower(classes) for _ in range(members)])
    towers.load_state_dict({k.removeprefix(_TOWERS): value for k, value in state.items()})
    return towers.eval().requires_grad_(False), typed
