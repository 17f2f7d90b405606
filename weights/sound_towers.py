"""Cnn14 checkpoints, and the bundle made of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexer.encoders.panns_config import MEL_KEY, Cnn14Config, check_mel_filters
from storage.audioset import labels
from storage.checkpoints import Checkpoint
from storage.errors import BundleError
from weights.extras import require_extra
from weights.tensor_files import WEIGHTS_FILE, write_tensors


def read_sound_tower(checkpoint: Checkpoint) -> Cnn14Config:
    """Read the sizes off a checkpoint.

    Raises:
        BundleError: tensors are missing, surplus or misshapen; it was trained on other
            spectrograms, or names other kinds of sound.
    """
    shapes = {name: tuple(values.shape) for name, values in checkpoint.tensors.items()}
    try:
        config = Cnn14Config.from_shapes(shapes)
        if MEL_KEY in shapes:
            require_extra("panns", "import Cnn14")
            check_mel_filters(checkpoint.tensors[MEL_KEY])
    except ValueError as error:
        raise BundleError(f"{checkpoint.path} cannot be imported as Cnn14: {error}.") from None
    if config.classes != len(labels()):
        raise BundleError(
            f"{checkpoint.path} names {config.classes} kinds of sound, and reelseek has words for "
            f"the {len(labels())} of AudioSet: bring Cnn14 as published, not one fine-tuned on "
            "other sounds."
        )
    return config


def write_sound_tower(checkpoint: Checkpoint, config: Cnn14Config, folder: Path) -> dict[str, Any]:
    """Write the file of a bundle, with its official names; the fields of its manifest.

    Raises:
        BundleError: the weights hold no numbers.
    """
    write_tensors(checkpoint.tensors, folder / WEIGHTS_FILE)
    return {
        "title": f"PANNs Cnn14, {config.embedding} numbers and {config.classes} tags per 2 s",
        "sound": {"file": WEIGHTS_FILE, "dim": config.embedding, "tags": config.classes},
    }
