"""Tensors to safetensors, with their names as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import BundleError

WEIGHTS_FILE = "model.safetensors"


def write_tensors(tensors: Mapping[str, NDArray[Any]], file: Path) -> None:
    """Write a safetensors file; names, shapes and numbers stay what they are.

    Raises:
        BundleError: a tensor holds NaN or an infinity, as damaged weights do.
        OSError: the disk is full, or the folder cannot be written.
    """
    from safetensors.numpy import save_file

    kept = {name: np.asarray(values, order="C") for name, values in tensors.items()}
    for name, values in kept.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise BundleError(
                f"The weights hold a value that is no number (in {ascii(name)[:80]}): the file is "
                "damaged, fetch it again."
            )
    file.touch()
    mode = file.stat().st_mode
    # transformers wants to read which framework wrote a file.
    save_file(kept, file, metadata={"format": "pt"})
    file.chmod(mode)  # as everyone may read a new file here; safetensors lets its owner only


def halved(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """float32 tensors in half precision where not a bit is lost by it, as in OpenAI's own files."""
    return {name: _half(values) for name, values in tensors.items()}


def _half(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values
