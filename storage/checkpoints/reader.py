"""The door: a path in, a checkpoint out, or one sentence that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from storage.checkpoints.contents import Contents
from storage.checkpoints.errors import Forbidden, Malformed
from storage.checkpoints.folder import read_folder
from storage.checkpoints.mapped_file import MappedFile, map_file
from storage.checkpoints.safetensors_file import is_safetensors, read_safetensors
from storage.checkpoints.tensors import LazyTensors, check_sharing
from storage.checkpoints.torch_legacy import read_torch_legacy
from storage.checkpoints.torch_zip import SIGNATURE, read_torch_zip
from storage.errors import WeightsRefused, WeightsUnreadable

_OTHER_THINGS = {
    b"version https://git-lfs": (
        "it is a pointer of Git LFS",
        "fetch the file with `git lfs pull`",
    ),
    b"<": ("it is a web page", "fetch the file itself"),
}
"""What people end up with in place of a weights file, by how it begins."""


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """The state dict of a weights file, and what else the file says."""

    path: Path
    container: str
    """One of "torch zip", "torch legacy", "TorchScript archive", "safetensors" and
    "Hugging Face folder"."""
    tensors: Mapping[str, NDArray[Any]]
    """By name, as the file has them; read-only, and read from the disk as they are looked at.

    bfloat16, which numpy lacks, comes as float32 (exact); float16 stays. Conversions are done at
    each access: keep what is needed twice."""
    original_dtypes: Mapping[str, str]
    """By the same names: "float32", "float16", "bfloat16", "int64", ..."""
    options: Mapping[str, object]
    """What else is said in plain values: epoch, the fields of `opt`, safetensors' metadata, plain
    attributes of a TorchScript module, config.json of a folder. Never more than data."""
    sha256: str
    """Of the file, in hex; for folders see `folder.read_folder`."""
    git_blob: str
    """The id that git gives the file, in hex; "" for folders."""

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, {self.container}, {len(self.tensors)} tensors)"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read weights from a file or a folder without carrying out anything that it says.

    Costs the checksums of the whole file; numbers are mapped, not loaded.

    Raises:
        WeightsRefused: it asks for something to be called, or leads outside of itself.
        WeightsUnreadable: missing, damaged, cut short, or of a kind that we cannot read.
    """
    try:
        if path.is_dir():
            contents, sha256 = read_folder(path, _read_file)
            git_blob = ""
        else:
            file = map_file(path)
            contents = _read_file(file)
            sha256, git_blob = file.sha256_and_git_blob()
    except Forbidden as error:
        raise WeightsRefused(
            f"{path} was not opened, because it {error}, which no weights file needs: get the "
            "weights from their official source, or the state dict alone from whoever saved it."
        ) from None
    except Malformed as error:
        raise WeightsUnreadable(
            f"{path} cannot be read as weights, because {error}: {error.advice}."
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise WeightsUnreadable(
            f"{path} cannot be read ({reason}): check its permissions and the disk."
        ) from None
    return Checkpoint(
        path=path,
        container=contents.container,
        tensors=LazyTensors(contents.tensors),
        original_dtypes={name: tensor.dtype for name, tensor in contents.tensors.items()},
        options=contents.options,
        sha256=sha256,
        git_blob=git_blob,
    )


def _read_file(file: MappedFile) -> Contents:
    """Read one file by what it begins with; its name says nothing."""
    start = bytes(file.data[:32])
    for beginning, (reason, advice) in _OTHER_THINGS.items():
        if start.startswith(beginning):
            raise Malformed(reason, advice)
    if start.startswith(SIGNATURE):
        contents = read_torch_zip(file.data)
    elif is_safetensors(file.data):
        contents = read_safetensors(file.data)
    else:
        contents = read_torch_legacy(file.data)
    check_sharing(contents.tensors, len(file.data))
    return contents
