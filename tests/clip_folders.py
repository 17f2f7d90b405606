"""Encoder bundles whose picture tower is a Hugging Face folder, made from tiny random models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import storage.bundles
from storage.bundles import EncoderBundle, load_encoder
from storage.manifest import write_manifest

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def as_bundle(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    dim: int,
    side: int,
    fit: str | None = None,
    mean: tuple[float, ...] = CLIP_MEAN,
    std: tuple[float, ...] = CLIP_STD,
) -> EncoderBundle:
    """A bundle of the files in `folder`; afterwards REELSEEK_MODELS names the folder above it.

    Arguments:
        folder: holds config.json and model.safetensors; a stand-in for the text tower is added.
        fit: asked for by the user; the tower's own is centre-crop.
    """
    (folder / "text.onnx").write_bytes(b"no text is read here")
    fields: dict[str, Any] = {
        "name": folder.name,
        "version": "1.0",
        "kind": "encoder",
        "title": "a tiny random model",
        "dim": dim,
        "languages": ["en"],
        "image": {
            "file": "model.safetensors",
            "network": "transformers",
            "width": side,
            "height": side,
            "fit": "centre-crop",
            "channels": "rgb",
            "mean": list(mean),
            "std": list(std),
        },
        "text": {"file": "text.onnx", "max_tokens": 77, "pooled": "embedding", "tokens": "tokens"},
    }
    write_manifest(folder, fields)
    monkeypatch.setenv("REELSEEK_MODELS", str(folder.parent))
    assert storage.bundles.models_folder() == folder.parent
    return load_encoder(folder.name, fit)


def random_clip(folder: Path, side: int = 32, dim: int = 48, seed: int = 0) -> Path:
    """Save a CLIP of two small layers in `folder`, as the official layout names its weights."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    layers = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2}
    torch.manual_seed(seed)
    model = CLIPModel(
        CLIPConfig(
            text_config={
                **layers,
                **heads,
                "vocab_size": 200,
                "bos_token_id": 198,
                "eos_token_id": 199,
            },
            vision_config={**layers, **heads, "image_size": side, "patch_size": 8},
            projection_dim=dim,
        )
    )
    for weights in model.parameters():  # those of transformers hardly tell two pictures apart
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=1.5 * weights[0].numel() ** -0.5)
    model.eval().save_pretrained(folder)
    return folder
