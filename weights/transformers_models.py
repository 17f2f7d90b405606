"""Whether a folder holds the tensors of the model that its config.json describes.

Needs torch and transformers, which knows under which names older versions saved what it has now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from numpy.typing import NDArray

from search.text.quiet import quiet_transformers
from storage.errors import BundleError
from storage.tensor_names import listed
from weights.families import EncoderFamily

_TOO_MANY_TIMES = 2
"""A configuration for more than so many times the numbers that are there is not tried out: it
could ask for all memory."""


def check_tensors(
    family: EncoderFamily,
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    folder: Path,
    source: Path,
) -> None:
    """Load the model of a folder, and see what of it was not there, and what was left over.

    Arguments:
        folder: holds config.json and model.safetensors.
        source: where they come from, for what is said to the user.

    Raises:
        BundleError: the installed transformers has no such model, the configuration is not one of
            it, or tensors are missing, surplus or of another shape.
    """
    model_class = getattr(transformers, family.model_class, None)
    if model_class is None:
        raise BundleError(
            f"The installed transformers {transformers.__version__} has no {family.title}: pip "
            "install -U transformers."
        )
    try:
        with quiet_transformers():
            wanted = _numbers(model_class, config)
            there = sum(math.prod(values.shape) for values in tensors.values())
            if wanted > _TOO_MANY_TIMES * there:
                raise ValueError(f"it is for {wanted:,} numbers, and there are {there:,}")
            _, loading = model_class.from_pretrained(
                folder,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # whatever odd values make of transformers' and torch's own checks
        reason = " ".join(str(error).split())[:200]
        raise BundleError(
            f"The config.json of {source} does not describe its {family.title} ({reason}): fetch "
            "the whole folder again."
        ) from error
    faults = [
        f"{kind} {listed(sorted(map(_named, loading[name])))}"
        for kind, name in (
            ("missing", "missing_keys"),
            ("surplus", "unexpected_keys"),
            ("misshapen", "mismatched_keys"),
        )
        if loading.get(name)
    ]
    if faults:
        raise BundleError(
            f"{source} cannot be imported as {family.title}: its tensors are not those that its "
            f"config.json describes: {'; '.join(faults)}."
        )


def _numbers(model_class: Any, config: Mapping[str, Any]) -> int:
    """How many numbers a model has; no memory is taken for them."""
    with torch.device("meta"):
        model = model_class(model_class.config_class.from_dict(dict(config)))
    return sum(parameter.numel() for parameter in model.parameters())


def _named(key: Any) -> str:
    """The name of a tensor; transformers gives those of another shape with both shapes."""
    if isinstance(key, str):
        return key
    name, found, wanted = key
    return f"{name} {tuple(found)} instead of {tuple(wanted)}"
