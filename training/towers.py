"""The two frozen networks as int8 ONNX models, ready to describe photos and sentences."""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from training import efficientnet_lite, minilm, quantise

_N = torch.export.Dim("n", max=4096)
_T = torch.export.Dim("t", max=minilm.MAX_TOKENS)


def image_tower(calibration: NDArray[np.uint8] | None) -> onnx.ModelProto:
    """`pixels` (n, 260, 260, 3) uint8 to `feature` (n, 2096) float32.

    Int8 with the activation ranges of the `calibration` pictures (n, 260, 260, 3); float32 without
    them.
    """
    side = efficientnet_lite.SIZE
    example = (torch.zeros(2, 3, side, side),)
    model = quantise.export(efficientnet_lite.load(), example, ["image"], ["feature"], ({0: _N},))
    if calibration is not None:
        model = quantise.quantise_image(model, calibration)
    return quantise.feed_bytes(model)


def text_tower(network: minilm.MiniLM, int8: bool) -> onnx.ModelProto:
    """`input_ids` and `attention_mask` (n, t) int64 to `hidden` (n, t, 384) float32.

    Takes the network apart: it is of no use afterwards.
    """
    positions = network.embeddings.position_embeddings.weight[: minilm.MAX_TOKENS]
    network.embeddings.position_embeddings = nn.Embedding(
        minilm.MAX_TOKENS, minilm.WIDTH, _weight=positions
    )
    if int8:
        words = network.embeddings.word_embeddings.weight
        network.embeddings.word_embeddings = quantise.Int8Embedding(words)  # type: ignore[assignment]
    example = (torch.ones(2, 7, dtype=torch.int64), torch.ones(2, 7, dtype=torch.int64))
    axes = {0: _N, 1: _T}
    model = quantise.export(
        network, example, ["input_ids", "attention_mask"], ["hidden"], (axes, axes)
    )
    return quantise.quantise_text(model) if int8 else model
