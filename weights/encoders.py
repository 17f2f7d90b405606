"""CLIP and its relatives: the bundle made of OpenAI's files or of a Hugging Face folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from search.text.clip_tokens import VOCABULARY_SIZE
from storage.bundles import CONFIG
from storage.checkpoints import Checkpoint
from storage.errors import BundleError
from weights.clip_keys import to_transformers
from weights.clip_sizes import PUBLISHED
from weights.extras import require_extra
from weights.families import EncoderFamily
from weights.hugging_face import cleaned, copy_tokenizer, read_json
from weights.tensor_files import WEIGHTS_FILE, halved, write_tensors

log = logging.getLogger("reelseek.weights")

TEXT_GRAPH = "text.onnx"

_NOT_WEIGHTS = (".position_ids",)
"""Counters that older folders list among their tensors."""

_NAMED_TOWERS = {
    (size.vision_layers, size.vision_width, size.patch, size.resolution, size.text_width): name
    for name, size in PUBLISHED.items()
}


@dataclass(frozen=True)
class EncoderFacts:
    """An encoder as transformers has it."""

    family: EncoderFamily
    config: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    architecture: str
    """E.g. "ViT-B/32"; what moment heads are matched with."""
    path: Path
    """Where it comes from: a Hugging Face folder, or a file of OpenAI's."""


def read_encoder(checkpoint: Checkpoint, family: EncoderFamily, openai_names: bool) -> EncoderFacts:
    """Read off a checkpoint what encoder it is.

    Raises:
        BundleError: tensors are missing, surplus or misshapen, it is a ResNet tower, or its
            configuration makes no sense.
    """
    if openai_names:
        try:
            config, tensors = to_transformers(checkpoint.tensors)
        except ValueError as error:
            raise BundleError(f"{checkpoint.path} cannot be imported as CLIP. {error}") from None
        pieces = tensors["text_model.embeddings.token_embedding.weight"].shape[0]
        if pieces != VOCABULARY_SIZE:
            raise BundleError(
                f"{checkpoint.path} is a CLIP of the shape of {architecture(family, config)} with "
                f"a vocabulary of its own ({pieces} pieces instead of OpenAI's {VOCABULARY_SIZE}), "
                "which such a file does not hold: bring it as a Hugging Face folder with its "
                "tokenizer.json."
            )
        if "float16" in checkpoint.original_dtypes.values():
            tensors = halved(tensors)
        return EncoderFacts(family, config, tensors, architecture(family, config), checkpoint.path)
    config = cleaned(checkpoint.path / CONFIG, checkpoint.options)
    tensors = {
        name: values
        for name, values in checkpoint.tensors.items()
        if not name.endswith(_NOT_WEIGHTS)
    }
    return EncoderFacts(family, config, tensors, architecture(family, config), checkpoint.path)


def write_encoder(facts: EncoderFacts, folder: Path) -> dict[str, Any]:
    """Write the files of a bundle; the fields of its manifest that are about the encoder.

    Raises:
        BundleError: a package is missing, the tensors do not fit the configuration, or the folder
            lacks its tokenizer.
    """
    require_extra("clip", f"import {facts.family.title}")
    from search.text.clip_export import export_text_tower
    from weights.transformers_models import check_tensors

    config = {**facts.config, "architectures": [facts.family.model_class]}
    (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    write_tensors(facts.tensors, folder / WEIGHTS_FILE)
    check_tensors(facts.family, config, facts.tensors, folder, facts.path)
    copies = copy_tokenizer(facts.path, folder) if facts.path.is_dir() else []
    log.info("Making the graph that a search runs (once; it takes up to a minute)")
    try:
        text = export_text_tower(folder, folder / TEXT_GRAPH)
    except BundleError as error:  # it speaks of the folder that it is given, a passing one
        raise BundleError(str(error).replace(str(folder), str(facts.path))) from error
    for copy in copies:
        if copy.name != text.tokenizer:
            copy.unlink(missing_ok=True)
    tower = facts.architecture.removeprefix(f"{facts.family.title} ")
    return {
        "title": f"{facts.family.title} {tower}",
        "architecture": facts.architecture,
        "dim": text.dim,
        "languages": list(text.languages),
        "image": picture_section(facts.family, facts.config, facts.path),
        "text": text.section(),
    }


def architecture(family: EncoderFamily, config: Mapping[str, Any]) -> str:
    """A name for the shape of the towers: OpenAI's own where it is one of theirs.

    Weights of the same shape with another activation (open_clip's often have plain GELU) are not
    OpenAI's, and get another name.
    """
    vision, text = _section(config, "vision_config"), _section(config, "text_config")
    layers, width = vision.get("num_hidden_layers", 12), vision.get("hidden_size", 768)
    patch, side = vision.get("patch_size", 32), vision.get("image_size", 224)
    sizes = (layers, width, patch, side, text.get("hidden_size", 512))
    if family.word == "clip":
        quick = vision.get("hidden_act", "quick_gelu") == "quick_gelu"
        named = _NAMED_TOWERS.get(sizes)
        if named:
            return named if quick else f"{named} with GELU"
    tower = f"ViT {layers}x{width}/{patch}"
    return tower if family.word == "clip" else f"{family.title} {tower}"


def picture_section(family: EncoderFamily, config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """How pictures are prepared: as a folder says it, else as its family has it.

    Raises:
        BundleError: the network takes no squares, or what the folder says cannot be read.
    """
    side = _section(config, "vision_config").get("image_size", 224)
    if type(side) is not int:
        raise BundleError(f"{path} takes pictures that are no squares, which is not known.")
    prepared = _preparation(path) if path.is_dir() else {}
    fit = family.fit
    if prepared.get("do_center_crop") is True:
        fit = "centre-crop"
    elif "do_center_crop" in prepared or "crop_size" not in prepared:
        size = prepared.get("size")
        if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
            fit = "squash"
    mean, std = _channels(prepared, "image_mean"), _channels(prepared, "image_std")
    if prepared.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return {
        "file": WEIGHTS_FILE,
        "network": "transformers",
        "width": side,
        "height": side,
        "fit": fit,
        "channels": "rgb",
        "interpolation": "bicubic",
        "mean": list(mean or family.mean),
        "std": list(std or family.std),
    }


def _preparation(folder: Path) -> dict[str, Any]:
    """What the folder says about its pictures, by either of the two files that may say it."""
    found = read_json(folder, "preprocessor_config.json")
    if not found:
        nested = read_json(folder, "processor_config.json").get("image_processor")
        found = nested if isinstance(nested, dict) else {}
    return found


def _channels(prepared: Mapping[str, Any], name: str) -> tuple[float, float, float] | None:
    values = prepared.get(name)
    if not isinstance(values, list) or len(values) != 3:
        return None
    if not all(type(value) in (int, float) and abs(value) < 1e3 for value in values):
        return None
    if name == "image_std" and min(values) <= 0:
        return None
    red, green, blue = map(float, values)
    return red, green, blue


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}
