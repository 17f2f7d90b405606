"""Takes a finished bundle apart again: towers without their heads, and the heads as they were.

So a user's training can go on where the shipped one ended, and needs no other file for it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from storage.errors import BundleError
from training import efficientnet_lite, minilm
from training.heads import ImageHead, TextHead
from training.recipe import Recipe

Weights = Mapping[str, NDArray[np.float32]]

IMAGE_WEIGHTS = {
    *("mean", "deviation"),
    *("widen.weight", "widen.bias", "project.weight", "project.bias"),
}
"""What an image head consists of."""


def image_part(content: bytes, file: Path) -> tuple[bytes, ImageHead]:
    """The content of `image.onnx` as a tower (`pixels` to `feature`) and its head; `file` is where
    it was read from, for messages.

    Raises:
        BundleError: it was not made by this recipe.
    """
    model = _load(content, file)
    weights = _head_weights(model, file)
    if IMAGE_WEIGHTS - weights.keys():
        raise _stranger(file)
    head = ImageHead(
        torch.from_numpy(weights["mean"]),
        torch.from_numpy(weights["deviation"]),
        len(weights["widen.bias"]),
        Recipe.dropout,
        Recipe.noise,
    )
    _fill(head, weights, file)
    width = efficientnet_lite.FEATURE_WIDTH
    return _tower(model, "feature", ["n", width]), head.eval()


def text_part(content: bytes, file: Path) -> tuple[bytes, TextHead]:
    """The content of `text.onnx` as a tower (ids and mask to `hidden`) and its head; raises as
    `image_part`.
    """
    model = _load(content, file)
    weights = {name.removeprefix("head."): w for name, w in _head_weights(model, file).items()}
    head = TextHead(minilm.WIDTH)
    _fill(head, weights, file)
    return _tower(model, "hidden", ["n", "t", minilm.WIDTH]), head.eval()


def _load(content: bytes, file: Path) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(content)
    except Exception as error:  # protobuf raises its own kinds
        raise BundleError(f"{file} is no ONNX graph ({error}).") from error


def _head_weights(model: onnx.ModelProto, file: Path) -> dict[str, NDArray[np.float32]]:
    """What lies under `head/`, by name; int8 rows are multiplied by their scales again."""
    found = {
        entry.name.removeprefix("head/"): numpy_helper.to_array(entry)
        for entry in model.graph.initializer
        if entry.name.startswith("head/")
    }
    weights = {}
    for name, value in found.items():
        if name.endswith("/int8"):
            whole = name.removesuffix("/int8")
            weights[whole] = value.astype(np.float32) * found[f"{whole}/scale"]
        elif not name.endswith("/scale"):
            weights[name] = np.array(value, np.float32)
    return weights


def _fill(head: ImageHead | TextHead, weights: Weights, file: Path) -> None:
    state = {name: torch.from_numpy(weights[name]) for name in head.state_dict() if name in weights}
    try:
        head.load_state_dict(state)
    except RuntimeError as error:  # a name is missing, or a shape is another
        raise _stranger(file) from error


def _tower(model: onnx.ModelProto, output: str, shape: list[str | int]) -> bytes:
    """The graph without its head, ending in `output`."""
    graph = model.graph
    kept = [node for node in graph.node if not _of_head(node)]
    del graph.node[:], graph.output[:]
    graph.node.extend(kept)
    graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, shape))
    for entry in [entry for entry in graph.initializer if entry.name.startswith("head/")]:
        graph.initializer.remove(entry)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _of_head(node: onnx.NodeProto) -> bool:
    return any(name.startswith("head/") for name in (*node.input, *node.output))


def _stranger(file: Path) -> BundleError:
    return BundleError(
        f"{file} was not made by this recipe: --init takes the folder of `lite`, or of a bundle "
        "that was trained from it."
    )
