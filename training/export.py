"""Joins towers and trained heads into the files of a bundle."""

import json

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper
from torch import Tensor, nn

from training import minilm, quantise
from training.efficientnet_lite import FEATURE_WIDTH
from training.heads import ImageHead, TextHead, unit

TEXT_OUTPUTS = ["embedding", "tokens", "sentence"]


class TextEnd(nn.Module):
    """Hidden states (n, t, 384) and mask (n, t) to sentence vectors (n, 256), token vectors (n, t,
    256), and the sentence vectors (n, 384) that the first were projected from.
    """

    def __init__(self, head: TextHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = mask[:, :, None].to(torch.float32)
        pooled = unit((hidden * weights).sum(dim=1) / weights.sum(dim=1))
        return self.head(pooled), self.head.project(hidden), pooled


def join_image(tower: onnx.ModelProto, head: ImageHead) -> onnx.ModelProto:
    """`pixels` (n, 260, 260, 3) uint8 to `embedding` (n, 256) float32."""
    n = torch.export.Dim("n", max=4096)
    end = quantise.export(
        head, (torch.randn(2, FEATURE_WIDTH),), ["features"], ["embedding"], ({0: n},)
    )
    return _join(tower, shrink_weights(end), {"features": "feature"}, ["embedding"])


def join_text(tower: onnx.ModelProto, head: TextHead) -> onnx.ModelProto:
    """`input_ids`, `attention_mask` (n, t) int64 to `embedding` (n, 256), `tokens` (n, t, 256) and
    `sentence` (n, 384) float32.
    """
    n, t = torch.export.Dim("n", max=4096), torch.export.Dim("t", max=minilm.MAX_TOKENS)
    end = quantise.export(
        TextEnd(head),
        (torch.randn(2, 7, minilm.WIDTH), torch.ones(2, 7, dtype=torch.int64)),
        ["states", "mask"],
        TEXT_OUTPUTS,
        ({0: n, 1: t}, {0: n, 1: t}),
    )
    wires = {"states": "hidden", "mask": "attention_mask"}
    return _join(tower, end, wires, TEXT_OUTPUTS)


def shrink_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores every large float32 matrix as int8 rows with one scale a row.

    Cast and Mul restore it; ONNX Runtime folds the two into a constant when it opens the file, so
    the arithmetic stays float32.
    """
    graph = model.graph
    restored = []
    for entry in [entry for entry in graph.initializer if is_large_matrix(entry)]:
        rows, scales = int8_rows(numpy_helper.to_array(entry))
        small, factors, wide = (f"{entry.name}/{part}" for part in ("int8", "scale", "float"))
        graph.initializer.remove(entry)
        graph.initializer.append(numpy_helper.from_array(rows, small))
        graph.initializer.append(numpy_helper.from_array(scales, factors))
        restored.append(helper.make_node("Cast", [small], [wide], to=onnx.TensorProto.FLOAT))
        restored.append(helper.make_node("Mul", [wide, factors], [entry.name]))
    nodes = [*restored, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def is_large_matrix(entry: onnx.TensorProto) -> bool:
    """Whether a stored tensor is worth shrinking: two axes and at least 65,536 floats."""
    return (
        entry.data_type == onnx.TensorProto.FLOAT
        and len(entry.dims) == 2
        and entry.dims[0] * entry.dims[1] >= 65536
    )


def int8_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rounds a matrix (m, n) to int8 rows (m, n) and scales (m, 1) whose product restores it."""
    largest = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    scales = (largest / 127).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales


def _join(
    tower: onnx.ModelProto, end: onnx.ModelProto, wires: dict[str, str], outputs: list[str]
) -> onnx.ModelProto:
    """One graph of two; `wires` names for each input of the end the tensor of the tower that it
    reads.
    """
    end = compose.add_prefix(end, "head/")
    model = onnx.ModelProto()
    model.CopyFrom(tower)
    graph = model.graph
    read = {f"head/{theirs}": ours for theirs, ours in wires.items()}
    named = {f"head/{name}": name for name in outputs}
    for node in end.graph.node:
        node.input[:] = [read.get(name, named.get(name, name)) for name in node.input]
        node.output[:] = [named.get(name, name) for name in node.output]
    graph.node.extend(end.graph.node)
    graph.initializer.extend(end.graph.initializer)
    del graph.output[:], graph.value_info[:]
    for output in end.graph.output:
        output.name = named[output.name]
        graph.output.append(output)
    for opset in end.opset_import:
        if opset.domain not in {known.domain for known in model.opset_import}:
            model.opset_import.append(opset)
    onnx.checker.check_model(model)
    return model


def tokenizer_file() -> bytes:
    """The package's tokenizer.json without the padding and the limit it carries: the manifest
    states the limit.
    """
    settings = json.loads((minilm.package_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    settings["padding"] = settings["truncation"] = None
    return json.dumps(settings, ensure_ascii=False).encode()
