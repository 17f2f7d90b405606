"""The tower that looks twice averages the whole frame and its middle from closer by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="training takes onnx")
pytest.importorskip("torch", reason="training takes torch")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from training.efficientnet_lite import FEATURE_WIDTH, SIZE  # noqa: E402
from training.features import session  # noqa: E402
from training.looks import CLOSER, two_looks  # noqa: E402


def brightness_tower() -> Any:
    """Tells the mean of each colour, in the first three of its numbers."""
    spread = np.eye(3, FEATURE_WIDTH, dtype=np.float32)
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "spread"], ["feature"]),
    ]
    shape: list[str | int | None] = ["n", SIZE, SIZE, 3]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["n", FEATURE_WIDTH])],
        [
            numpy_helper.from_array(np.array([2, 3]), "axes"),
            numpy_helper.from_array(spread, "spread"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_each_picture_of_a_batch_is_seen_whole_and_from_closer() -> None:
    pixels = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    first = (SIZE - CLOSER) // 2
    middle = slice(first, first + CLOSER)
    pixels[0, middle, middle, 0] = 200
    pixels[1, :, :, 2] = 90
    pixels[1, middle, middle, 2] = 10
    (feature,) = session(two_looks(brightness_tower()).SerializeToString(), 1).run(
        None, {"pixels": pixels}
    )
    share = (CLOSER / SIZE) ** 2
    assert feature.shape == (2, FEATURE_WIDTH)
    assert feature[0, :3] == pytest.approx([(200 * share + 200) / 2, 0, 0], abs=0.01)
    whole = 10 * share + 90 * (1 - share)
    assert feature[1, :3] == pytest.approx([0, 0, (whole + 10) / 2], abs=0.01)
