"""Weights small enough to be imported in a test: made here, random, in official names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from indexer.encoders.panns_config import Cnn14Config
from search.moments.qd_detr_config import QDDETRConfig
from storage.bundles import EncoderBundle, HeadBundle, ImageTower, TextTower
from storage.checkpoints import Checkpoint
from storage.manifest import Manifest
from weights.families import EncoderFamily

CLIP_DIM, TEXT_WIDTH, SOUND_DIM = 48, 64, 64
"""Of `save_tiny_clip`; the sound is that of the recorded thin Cnn14 as well."""


def save_tiny_clip(folder: Path, seed: int = 0, **text: Any) -> Path:
    """A Hugging Face folder of a random CLIP with OpenAI's vocabulary, and no tokenizer file."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    layer = {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 256,
    }
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={**layer, **text},
        vision_config={**layer, "image_size": 32, "patch_size": 8},
        projection_dim=CLIP_DIM,
    )
    CLIPModel(config).eval().save_pretrained(folder)
    return folder


def save_tiny_relative(folder: Path, family: EncoderFamily, **preparation: Any) -> Path:
    """A Hugging Face folder of a random encoder of a family, with a dozen words and their
    tokenizer, and what it says about its pictures."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    layer = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    text = {**layer, "vocab_size": 40, "pad_token_id": 0, "eos_token_id": 2, "project_dim": 32}
    model_class = getattr(transformers, family.model_class)
    torch.manual_seed(0)
    config = model_class.config_class(
        text_config=text, vision_config={**layer, "image_size": 16, "patch_size": 8}
    )
    model_class(config).eval().save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[SEP]", "a", "dog", "in", "snow"]
    rules = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.add_special_tokens(words[:3])
    rules.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if preparation:
        (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    return folder


def head_tensors(config: QDDETRConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random weights of a QD-DETR of some size."""
    random = np.random.default_rng(seed)
    return {
        name: random.normal(0.0, 0.1, shape).astype(np.float32)
        for name, shape in config.shapes().items()
    }


def checkpoint_of(
    shapes: Mapping[str, tuple[int, ...]],
    options: Mapping[str, object] | None = None,
    container: str = "torch zip",
    sha256: str = "0" * 64,
    git_blob: str = "0" * 40,
) -> Checkpoint:
    """What a reader would make of a file with tensors of these names and shapes, all zeros."""
    zero = np.zeros((), np.float32)
    return Checkpoint(
        path=Path("weights.ckpt"),
        container=container,
        tensors={name: np.broadcast_to(zero, shape) for name, shape in shapes.items()},
        original_dtypes={name: "float32" for name in shapes},
        options=options or {},
        sha256=sha256,
        git_blob=git_blob,
    )


def encoder_bundle(
    dim: int = 512, width: int = 512, tower: str | None = "ViT-B/32"
) -> EncoderBundle:
    """An encoder of these sizes, as a manifest would describe it."""
    return EncoderBundle(
        manifest=_manifest("clip", "encoder", {"architecture": tower} if tower else {}),
        languages=("en",),
        dim=dim,
        image=ImageTower(Path("model.safetensors"), "transformers", 224, 224, "centre-crop"),
        text=TextTower(Path("text.onnx"), None, 77, "embedding", "tokens", width),
        fit="centre-crop",
    )


def head_bundle(
    picture_dim: int = 512,
    text_dim: int = 512,
    sound_dim: int = 0,
    clip_s: float = 2.0,
    tower: str | None = "ViT-B/32",
    missing_features: str | None = None,
) -> HeadBundle:
    """A moment head of these sizes, as a manifest would describe it."""
    return HeadBundle(
        manifest=_manifest("qd-detr", "head", {}),
        file=Path("head.onnx"),
        picture_dim=picture_dim,
        sound_dim=sound_dim,
        text_dim=text_dim,
        clip_s=clip_s,
        tower=tower,
        missing_features=missing_features,
    )


def _manifest(name: str, kind: str, fields: dict[str, Any]) -> Manifest:
    return Manifest(Path(name), name, "0a1b2c3d", kind, f"the {kind}", {}, fields)


def save_thin_cnn14(file: Path, seed: int = 0) -> Path:
    """A Cnn14 of random numbers in official names, as a small safetensors file."""
    random = np.random.default_rng(seed)

    def drawn(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if name.endswith("num_batches_tracked"):
            return np.zeros(shape, np.int64)
        values = random.standard_normal(shape)
        if len(shape) > 1:
            values /= np.sqrt(np.prod(shape[1:]))
        elif name.endswith((".weight", ".running_var")):
            values = 1 + 0.1 * np.abs(values)
        return values.astype(np.float32)

    config = Cnn14Config(widths=(4, 4, 8, 8, 16, 16), embedding=SOUND_DIM)
    save_file({name: drawn(name, shape) for name, shape in config.shapes().items()}, file)
    return file
