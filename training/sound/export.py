"""The two graphs of the bundle."""

from __future__ import annotations

import math

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from indexer.sound import WINDOW_SAMPLES
from training import quantise
from training.sound.front import FrontEnd
from training.sound.network import SENTENCE_WIDTH, Choir, Words

LARGE = 4096
"""Numbers from which on an array is worth storing in half precision."""

WAVES, VECTORS, SENTENCE = "waves", "embedding", "sentence"


class Hearing(nn.Module):
    """Front end and towers: (n, 64000) float32 to (n, 256) of unit length."""

    def __init__(self, towers: Choir) -> None:
        super().__init__()
        self.front = FrontEnd(WINDOW_SAMPLES)
        self.towers = towers

    def forward(self, waves: Tensor) -> Tensor:
        vectors: Tensor = self.towers(self.front(waves))
        return vectors


def sound_graph(towers: Choir) -> onnx.ModelProto:
    """`waves` (n, 64000) float32 to `embedding` (n, 256) float32; weights are stored in half
    precision and restored when the graph is loaded, so the arithmetic stays float32."""
    n = torch.export.Dim("n", max=4096)
    example = (torch.randn(2, WINDOW_SAMPLES) * 0.1,)
    graph = quantise.export(Hearing(towers).eval(), example, [WAVES], [VECTORS], ({0: n},))
    return halved(graph)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores every large array of floats as float16 and of whole numbers as uint16, with a Cast
    behind it."""
    graph = model.graph
    casts = []
    for entry in [entry for entry in graph.initializer if _is_large(entry)]:
        small = f"{entry.name}/half"
        values = numpy_helper.to_array(entry)
        kept = values.astype(np.float16 if values.dtype == np.float32 else np.uint16)
        graph.initializer.remove(entry)
        graph.initializer.append(numpy_helper.from_array(kept, small))
        casts.append(helper.make_node("Cast", [small], [entry.name], to=entry.data_type))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _is_large(entry: onnx.TensorProto) -> bool:
    types = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64)
    return entry.data_type in types and math.prod(entry.dims) >= LARGE


def words_graph(words: Words) -> onnx.ModelProto:
    """`sentence` (n, 384) float32 to `embedding` (n, 256) float32."""
    n = torch.export.Dim("n", max=4096)
    example = (torch.randn(2, SENTENCE_WIDTH),)
    return quantise.export(words.eval(), example, [SENTENCE], [VECTORS], ({0: n},))
