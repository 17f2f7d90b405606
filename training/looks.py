"""Two looks at one frame: the whole of it, and its middle from closer by.

What is small in the picture is lost when the frame is squashed to 260 pixels; half of its area,
enlarged, brings some of it back. The features of both are averaged, so that whatever reads them
need not know.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.efficientnet_lite import FEATURE_WIDTH, SIZE

CLOSER = 184
"""Pixels of the 260 that the second look sees, each way: half of the area."""


def two_looks(tower: onnx.ModelProto) -> onnx.ModelProto:
    """A tower (`pixels` to `feature`) that looks twice, with the same inputs and outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(tower)
    graph = model.graph
    (to_planes,) = (node for node in graph.node if "pixels" in node.input)
    (planes,) = to_planes.output
    for node in graph.node:
        node.input[:] = ["looks/both" if name == planes else name for name in node.input]
        node.output[:] = ["looks/feature" if name == "feature" else name for name in node.output]
    nodes = list(graph.node)
    first = nodes.index(to_planes) + 1
    del graph.node[:]
    graph.node.extend([*nodes[:first], *_closer(planes), *nodes[first:], *_mean()])
    graph.initializer.extend(
        numpy_helper.from_array(value, f"looks/{name}") for name, value in _constants().items()
    )
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model


def _closer(planes: str) -> list[onnx.NodeProto]:
    """Bytes (n, 3, 260, 260) to twice as many: the pictures, then their enlarged middles."""
    box = ["looks/starts", "looks/ends", "looks/axes"]
    make = helper.make_node
    return [
        make("Slice", [planes, *box], ["looks/middle"]),
        make("Cast", ["looks/middle"], ["looks/float"], to=onnx.TensorProto.FLOAT),
        make("Resize", ["looks/float", "", "looks/scales"], ["looks/large"], mode="linear"),
        make("Round", ["looks/large"], ["looks/rounded"]),
        make("Cast", ["looks/rounded"], ["looks/closer"], to=onnx.TensorProto.UINT8),
        make("Concat", [planes, "looks/closer"], ["looks/both"], axis=0),
    ]


def _mean() -> list[onnx.NodeProto]:
    """Features (2n, 2096) of both looks to their means (n, 2096)."""
    make = helper.make_node
    return [
        make("Reshape", ["looks/feature", "looks/split"], ["looks/pair"]),
        make("ReduceMean", ["looks/pair", "looks/look"], ["feature"], keepdims=0),
    ]


def _constants() -> dict[str, NDArray[np.int64] | NDArray[np.float32]]:
    first = (SIZE - CLOSER) // 2
    return {
        "starts": np.array([first, first], np.int64),
        "ends": np.array([first + CLOSER, first + CLOSER], np.int64),
        "axes": np.array([2, 3], np.int64),
        "scales": np.array([1, 1, SIZE / CLOSER, SIZE / CLOSER], np.float32),
        "split": np.array([2, -1, FEATURE_WIDTH], np.int64),
        "look": np.array([0], np.int64),
    }
