"""What a Hugging Face folder says beside its weights: read as data, cleaned of what it asks for.

A config.json can name code to run, kernels and weights to download, and sizes without bounds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import BundleError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)

_MAX_BYTES = 64 * 2**20
_MAX_SIZE = 2**20
_MAX_LAYERS = 512
_MAX_DEPTH = 8

_ASKS_FOR_MORE = {
    "auto_map",
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
    "custom_pipelines",
    "quantization_config",
    "transformers_weights",
    "_name_or_path",
    "name_or_path",
}
"""Fields by which a configuration makes transformers load code, kernels or other files; what ends
in `_file` does so too."""

_MEANS_NOTHING_HERE = {"dtype", "torch_dtype", "id2label", "label2id", "num_labels"}
"""Tensors have a type of their own, and are not rounded to another; labels are for classifiers, and
transformers makes a table of as many as it is told."""


def file_inside(folder: Path, name: str) -> Path | None:
    """A file of the folder, or None if it has none of that name.

    Raises:
        BundleError: a link leads out of the folder. In Hugging Face's cache links may lead from
            `snapshots/REVISION` to `blobs`.
    """
    if not (folder / name).is_file():
        return None
    home = folder.resolve()
    homes = {home, home.parent.parent / "blobs"} if home.parent.name == "snapshots" else {home}
    file = (folder / name).resolve()
    if file.parent not in homes:
        raise BundleError(
            f"{folder} holds a link {name} that leads out of it: copy the file itself there."
        )
    if file.stat().st_size > _MAX_BYTES:
        raise BundleError(f"{folder / name} is larger than any file of its kind: fetch it again.")
    return file


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of the folder; empty if there is no such file.

    Raises:
        BundleError: it cannot be read.
    """
    file = file_inside(folder, name)
    if file is None:
        return {}
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{folder / name} is damaged ({error}): fetch it again.") from None
    if not isinstance(facts, dict):
        raise BundleError(f"{folder / name} is damaged (it holds no object): fetch it again.")
    return facts


def copy_tokenizer(source: Path, target: Path) -> list[Path]:
    """Copy the files that describe a tokenizer, without what they ask for; the copies."""
    copies = []
    for name in TOKENIZER_FILES:
        file = file_inside(source, name)
        if file is None:
            continue
        copies.append(target / name)
        if name == "tokenizer_config.json":
            config = cleaned(source / name, read_json(source, name))
            copies[-1].write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
        else:
            copies[-1].write_bytes(file.read_bytes())
    return copies


def cleaned(file: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the fields that make transformers fetch or run something.

    Raises:
        BundleError: a number in it is beyond all bounds.
    """
    return {key: _cleaned(file, key, value, 0) for key, value in _kept(config)}


def _kept(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (key, value)
        for key, value in config.items()
        if key not in _ASKS_FOR_MORE | _MEANS_NOTHING_HERE and not key.endswith("_file")
    ]


def _cleaned(file: Path, key: str, value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise BundleError(f"{file} is nested too deep to describe a model: fetch it again.")
    if isinstance(value, Mapping):
        return {name: _cleaned(file, name, entry, depth + 1) for name, entry in _kept(value)}
    if isinstance(value, list) and not _is_size(key):
        return [_cleaned(file, key, entry, depth + 1) for entry in value]
    limit = _MAX_LAYERS if "layers" in key else _MAX_SIZE
    if _is_size(key) and value is not None and not (type(value) is int and 0 < value <= limit):
        shown = ascii(value)[:60]
        raise BundleError(f"{file} is damaged: {ascii(key)[:60]} is {shown}, which no model has.")
    if type(value) is float and not math.isfinite(value):
        raise BundleError(f"{file} is damaged: {ascii(key)[:60]} is {value}: fetch it again.")
    return value


def _is_size(key: str) -> bool:
    return key.endswith(("_size", "_dim", "_layers", "_heads", "_embeddings"))
