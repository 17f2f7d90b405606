"""ONNX graphs of the two towers, and their int8 versions.

Weights are stored in 7 bits wherever a matrix kernel multiplies them with 8-bit activations: on x86
processors without VNNI such a kernel adds two products in 16 bits, which 8-bit weights can overflow
(ONNX Runtime, "Quantize ONNX models", section on U8S8 and reduce_range). Depthwise kernels widen
first and keep 8 bits.
"""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import (  # type: ignore[import-untyped]
    quant_pre_process,
)
from torch import Tensor, nn

from training.efficientnet_lite import PIXEL_MEAN, PIXEL_SCALE

OPSET = 18


def export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: tuple[dict[int, Any], ...],
) -> onnx.ModelProto:
    """The module as an ONNX model; `dynamic` names the free axes of each input."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _without_notes(program.model_proto)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter has to say to its own authors; errors are raised as ever."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drops what the exporter notes about the Python source, such as file names of this machine."""
    graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    for part in (model, graph, *graph.node, *graph.initializer, *values):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def quantise_image(model: onnx.ModelProto, calibration: NDArray[np.uint8]) -> onnx.ModelProto:
    """Static QDQ int8 of a convolutional tower with a float input `image`.

    `calibration`: pictures (n, 260, 260, 3) uint8 RGB, whose activation ranges (least and greatest
    value) are kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, done = (
            str(Path(folder) / name) for name in ("a.onnx", "b.onnx", "c.onnx")
        )
        onnx.save(model, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            done,
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Clip", "Add"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": _weight_ranges(onnx.load(prepared))},
        )
        return onnx.load(done)


def quantise_text(model: onnx.ModelProto) -> onnx.ModelProto:
    """Dynamic int8 of every matrix of a transformer, one scale per output channel."""
    with tempfile.TemporaryDirectory() as folder:
        plain, done = (str(Path(folder) / name) for name in ("a.onnx", "b.onnx"))
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            done,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(done)


class Int8Embedding(nn.Module):
    """A lookup table of int8 rows with one scale a row; stands in for `nn.Embedding`."""

    rows: Tensor
    scales: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        scales = table.abs().amax(dim=1, keepdim=True) / 127
        self.register_buffer("scales", scales)
        self.register_buffer("rows", (table / scales).round().to(torch.int8))

    def forward(self, ids: Tensor) -> Tensor:
        return self.rows[ids].to(torch.float32) * self.scales[ids]


def feed_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Puts `pixels` (n, 260, 260, 3) uint8 in front of a model whose input is a normalised float
    `image`.

    (x - 127) / 128 is what DequantizeLinear computes with zero point 127 and scale 1/128: for an
    int8 model the normalisation is then part of the first convolution and costs nothing.
    """
    graph = model.graph
    (image,) = graph.input
    _bypass_rounding(graph, image.name)
    graph.initializer.append(
        helper.make_tensor("pixel_scale", onnx.TensorProto.FLOAT, [], [1 / PIXEL_SCALE])
    )
    graph.initializer.append(
        helper.make_tensor("pixel_zero", onnx.TensorProto.UINT8, [], [int(PIXEL_MEAN)])
    )
    to_planes = helper.make_node("Transpose", ["pixels"], ["pixel_planes"], perm=[0, 3, 1, 2])
    normalise = helper.make_node(
        "DequantizeLinear", ["pixel_planes", "pixel_scale", "pixel_zero"], [image.name]
    )
    batch, channels, height, width = image.type.tensor_type.shape.dim
    shape = [batch.dim_param, height.dim_value, width.dim_value, channels.dim_value]
    graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, shape))
    nodes = [to_planes, normalise, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def _bypass_rounding(graph: onnx.GraphProto, name: str) -> None:
    """Removes the QuantizeLinear/DequantizeLinear pair behind an input: bytes need no rounding."""
    pair = [
        node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == name
    ]
    for quantise in pair:
        (dequantise,) = (node for node in graph.node if quantise.output[0] in node.input)
        for node in graph.node:
            node.input[:] = [name if used == dequantise.output[0] else used for used in node.input]
        graph.node.remove(quantise)
        graph.node.remove(dequantise)
        for entry in [entry for entry in graph.initializer if entry.name in quantise.input[1:]]:
            graph.initializer.remove(entry)


def _weight_ranges(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Overrides that give ordinary convolutions 7-bit and depthwise ones 8-bit weights, per output
    channel.
    """
    weights = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    ranges: dict[str, list[dict[str, Any]]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            depthwise = weights[node.input[1]].shape[1] == 1
            common = {
                "quant_type": QuantType.QInt8,
                "symmetric": True,
                "reduce_range": not depthwise,
            }
            ranges[node.input[1]] = [{**common, "axis": 0}]
    return ranges


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Feeds pictures one by one, normalised."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._rest: Iterator[NDArray[np.uint8]] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._rest, None)
        if picture is None:
            return None
        planes = picture.transpose(2, 0, 1)[None].astype(np.float32)
        return {"image": (planes - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_SCALE)}
