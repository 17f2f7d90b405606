"""Writes the folder of a bundle: files first, the manifest that names them last."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import efficientnet_lite, heads, minilm

CLIP_S = 2.0

TOWERS_LICENCE = "Apache-2.0 (EfficientNet-Lite2 and all-MiniLM-L6-v2; see LICENSE)"
RESEARCH_ONLY = (
    "trained on photos and captions that were given out for non-commercial research only; see "
    "NOTICE, and the model card of lite, before any commercial use"
)
OWN_PICTURES = "trained on pictures of whoever made this bundle, whose terms they are"


@dataclass(frozen=True)
class Title:
    """What a bundle is called, and what its trained weights may be used for."""

    name: str
    version: str
    terms: str
    title: str = "EfficientNet-Lite2 pictures and MiniLM sentences in one space, int8"


LITE = Title("lite", "2.0", RESEARCH_ONLY)
ADAPTED = Title("adapted", "1", RESEARCH_ONLY, "lite, its picture head adapted to own pictures")
OWN = Title("own", "1", OWN_PICTURES, "EfficientNet-Lite2 and MiniLM joined by own pictures, int8")


def manifest(files: Mapping[str, bytes], origin: Mapping[str, Any], title: Title) -> dict[str, Any]:
    """The manifest of an encoder, format 1, for these files (name to content)."""
    side = efficientnet_lite.SIZE
    return {
        "format": 1,
        "name": title.name,
        "version": title.version,
        "kind": "encoder",
        "title": title.title,
        "dim": heads.DIM,
        "clip_s": CLIP_S,
        "languages": ["en"],
        "image": {
            "file": "image.onnx",
            "input": "pixels",
            "output": "embedding",
            "width": side,
            "height": side,
            "fit": "squash",
            "channels": "rgb",
            "interpolation": "bicubic",
        },
        "text": {
            "file": "text.onnx",
            "tokenizer": "tokenizer.json",
            "max_tokens": minilm.MAX_TOKENS,
            "pooled": "embedding",
            "tokens": "tokens",
            "sentence": "sentence",
        },
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in sorted(files.items())
        },
        "licence": {"towers": TOWERS_LICENCE, "projections": title.terms},
        "origin": dict(origin),
    }


def write(
    folder: Path, files: Mapping[str, bytes], origin: Mapping[str, Any], title: Title
) -> None:
    """Replaces the files one by one; until the new manifest stands, a reader sees that the old one
    does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        _replace(folder / file, content)
    text = json.dumps(manifest(files, origin, title), indent=2, ensure_ascii=False) + "\n"
    _replace(folder / "manifest.json", text.encode())


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.partial")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
