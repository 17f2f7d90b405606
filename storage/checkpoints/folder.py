"""Folders of Hugging Face's transformers: config.json beside weights, in one file or in shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.checkpoints.contents import Contents
from storage.checkpoints.errors import SAVE_AGAIN, Forbidden, Malformed, shown
from storage.checkpoints.mapped_file import MappedFile, map_file

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_MAX_JSON = 8 * 2**20
_MAX_SHARDS = 1024

ReadFile = Callable[[MappedFile], Contents]


def read_folder(folder: Path, read_file: ReadFile) -> tuple[Contents, str]:
    """Tensors and config of a folder, and a SHA-256.

    The SHA-256 is that of the weights file; of several, that of the lines that `sha256sum` prints
    for them in the order of their names.

    Raises:
        Forbidden: something in it leads out of it, or a file asks for more than reading.
        Malformed: it has no weights, or damaged ones.
    """
    options = _read_json(folder, "config.json") if _is_there(folder / "config.json") else {}
    for name in _WEIGHTS:
        if _is_there(folder / name):
            file = map_file(_inside(folder, name))
            contents = _read_named(name, file, read_file)
            contents = replace(contents, container="Hugging Face folder", options=options)
            return contents, file.sha256_and_git_blob()[0]
        if _is_there(folder / f"{name}.index.json"):
            return _read_shards(folder, f"{name}.index.json", options, read_file)
    raise Malformed(
        f"the folder holds neither {' nor '.join(_WEIGHTS)}",
        "name the folder that holds config.json and the weights, or a weights file",
    )


def _read_shards(
    folder: Path, index_name: str, options: dict[str, Any], read_file: ReadFile
) -> tuple[Contents, str]:
    weight_map = _read_json(folder, index_name).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(shard, str) for shard in weight_map.values()
    ):
        raise Malformed(f"its {index_name} has no weight_map")
    names = sorted(set(weight_map.values()))
    if not 0 < len(names) <= _MAX_SHARDS:
        raise Malformed(f"its {index_name} names no shards, or too many")
    files = {name: map_file(_inside(folder, name)) for name in names}
    shards = {name: _read_named(name, file, read_file).tensors for name, file in files.items()}
    tensors = {}
    for tensor, shard in weight_map.items():
        if tensor not in shards[shard]:
            raise Malformed(f"its {shard} lacks the tensor {shown(tensor)}")
        tensors[tensor] = shards[shard][tensor]
    sums = [f"{file.sha256_and_git_blob()[0]}  {name}\n" for name, file in files.items()]
    sha256 = hashlib.sha256("".join(sums).encode("utf-8")).hexdigest()
    return Contents("Hugging Face folder", tensors, options), sha256


def _read_named(name: str, file: MappedFile, read_file: ReadFile) -> Contents:
    try:
        return read_file(file)
    except Malformed as error:
        raise Malformed(f"of its {name}: {error}", error.advice) from None
    except Forbidden as error:
        raise Forbidden(f"{error} (in its {name})") from None


def _inside(folder: Path, name: str) -> Path:
    """The file of that name, if it lies in the folder itself.

    Links may lead to other names in the folder and, as in Hugging Face's cache, from
    `models--x/snapshots/revision` to `models--x/blobs`.
    """
    if not name or name in (".", "..") or any(letter in name for letter in "/\\:\0"):
        raise Forbidden(f"names a file {shown(name)} outside of its folder")
    home = folder.resolve()
    homes = {home}
    if home.parent.name == "snapshots":
        homes.add(home.parent.parent / "blobs")
    try:
        file = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise Malformed(f"its {shown(name)} is missing") from None
    if file.parent not in homes:
        raise Forbidden(f"holds a link {shown(name)} that leads out of it")
    return file


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    file = map_file(_inside(folder, name))
    if len(file.data) > _MAX_JSON:
        raise Malformed(f"its {name} is longer than any that describes a model", SAVE_AGAIN)
    try:
        facts = json.loads(bytes(file.data).decode("utf-8"))
        json.dumps(facts, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Malformed(f"its {name} is damaged") from None
    if not isinstance(facts, dict):
        raise Malformed(f"its {name} is damaged")
    return facts
