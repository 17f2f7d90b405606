"""Encoders named by a Hugging Face folder, or by their name on its hub, instead of by a bundle."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from storage.bundles import installed, models_folder
from storage.checkpoints import Checkpoint, read_checkpoint
from storage.errors import BundleError
from storage.manifest import read_manifest
from weights.extras import require_extra
from weights.families import encoder_family
from weights.hugging_face import TOKENIZER_FILES
from weights.importing import Wishes, import_checkpoint, name_from
from weights.models_folder import check_name, is_taken
from weights.recognise import recognise

log = logging.getLogger("reelseek.weights")

_SEEN = ".seen.json"
"""Folders that were hashed, so that the next run need not: path, sizes and times to a checksum."""

_MAX_SEEN = 200

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""Owner and model; whatever else has a slash in it is a path."""

_SMALL_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
_SAFETENSORS = ("model*.safetensors", "model.safetensors.index.json")
_BINARIES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def bring_encoder(source: str) -> str:
    """The name of the bundle that holds an encoder, which is imported first if it is not there.

    Arguments:
        source: a Hugging Face folder, or a name on the hub such as
            "openai/clip-vit-base-patch32". What the local cache of the hub has is not asked for.

    Raises:
        BundleError: there is no such folder or name, no network, it is no encoder, or it cannot
            be imported.
    """
    folder = Path(source) if Path(source).is_dir() else _from_hub(source)
    sha256 = _seen(folder)
    if sha256 is not None and (name := _installed(sha256)):
        return name
    checkpoint = read_checkpoint(folder)
    _remember(folder, checkpoint.sha256)
    return _installed(checkpoint.sha256) or _import(checkpoint, source)


def _import(checkpoint: Checkpoint, source: str) -> str:
    word = recognise(checkpoint).word
    if encoder_family(word) is None:
        raise BundleError(
            f"{source} is no encoder of pictures: bring it with `reelseek models import "
            f"{source} --as {word}`."
        )
    name = name_from(str(Path(source).resolve()) if Path(source).is_dir() else source)
    if not _is_free(name):
        name = f"{name}-{checkpoint.sha256[:8]}"
    check_name(name)
    imported = import_checkpoint(checkpoint, word, name, Wishes(name))
    log.info("Imported %s as %r (%s)", source, name, imported.manifest.title)
    for note in imported.notes:
        log.info("%s", note)
    return name


def _is_free(name: str) -> bool:
    try:
        check_name(name)
    except BundleError:
        return False
    return not is_taken(name)


def _installed(sha256: str) -> str | None:
    """The encoder that was made of weights with this checksum, if it is there and whole."""
    for folder in installed():
        try:
            manifest = read_manifest(folder)
        except BundleError:
            continue
        origin: Any = manifest.fields.get("origin")
        if manifest.kind == "encoder" and origin and origin.get("sha256") == sha256:
            return folder.name
    return None


def _from_hub(source: str) -> Path:
    """The folder of a model in the local cache of the hub, fetched if it is not there whole."""
    owner = source.partition("/")[0]
    if not _HUB_NAME.fullmatch(source) or Path(owner).exists():
        raise BundleError(
            f"{source} is neither a folder nor a name on Hugging Face's hub, such as "
            "openai/clip-vit-base-patch32: check the path."
        )
    require_extra("clip", "bring an encoder from Hugging Face's hub")
    from huggingface_hub import snapshot_download

    small = [*_SMALL_FILES, *TOKENIZER_FILES]
    try:
        folder = Path(snapshot_download(source, local_files_only=True))
        if _is_whole(folder):
            return folder
    except (OSError, ValueError):  # not in the cache, or no name that the hub could have
        pass
    log.info("%s is no folder here: asking Hugging Face's hub for a model of that name", source)
    try:
        folder = Path(snapshot_download(source, allow_patterns=[*small, *_SAFETENSORS]))
        if not _has_weights(folder):
            folder = Path(snapshot_download(source, allow_patterns=[*small, *_BINARIES]))
        if not _is_whole(folder):  # offline, what is in the cache is all that is given
            raise FileNotFoundError("its config.json or its weights are not there")
    except (
        Exception
    ) as error:  # the libraries below raise errors of their own without a common base
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        raise BundleError(
            f"{source} could not be fetched from Hugging Face's hub ({reason}). Where there is a "
            f"network, fetch config.json, model.safetensors, tokenizer.json and "
            f"preprocessor_config.json from https://huggingface.co/{source}/tree/main into one "
            "folder, and then: reelseek models import FOLDER --as clip"
        ) from error
    return folder


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").exists() and _has_weights(folder)


def _has_weights(folder: Path) -> bool:
    for name in _WEIGHTS:
        if (folder / name).exists():
            return True
        index = folder / f"{name}.index.json"
        if index.exists():
            return _shards_are_there(index)
    return False


def _shards_are_there(index: Path) -> bool:
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return bool(shards) and all((index.parent / str(shard)).exists() for shard in shards)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _seen(folder: Path) -> str | None:
    """The checksum of a folder that has not changed since it was hashed."""
    entry = _read_seen().get(str(folder.resolve()))
    if isinstance(entry, dict) and entry.get("files") == _look(folder):
        sha256 = entry.get("sha256")
        return sha256 if isinstance(sha256, str) else None
    return None


def _remember(folder: Path, sha256: str) -> None:
    seen = dict(list(_read_seen().items())[1 - _MAX_SEEN :])
    seen[str(folder.resolve())] = {"files": _look(folder), "sha256": sha256}
    file = models_folder() / _SEEN
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(seen), encoding="utf-8")
        fresh.replace(file)
    except OSError:  # it only saves time
        log.debug("cannot write %s", file)


def _read_seen() -> dict[str, Any]:
    try:
        seen = json.loads((models_folder() / _SEEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}


def _look(folder: Path) -> list[list[Any]]:
    """Name, size and time of change of every file, which tell whether it is still the same."""
    found = []
    for file in sorted(folder.iterdir()):
        if file.is_file():
            facts = file.stat()
            found.append([file.name, facts.st_size, facts.st_mtime_ns])
    return found
