"""QD-DETR as an ONNX graph, so that a search needs no torch; making one does."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from search.moments.qd_detr import QDDETR
from search.moments.qd_detr_inputs import INPUT_NAMES, OUTPUT_NAMES

_OPSET = 18
_EXAMPLE_ROWS, _EXAMPLE_TOKENS, _EXAMPLE_CLIPS = 3, 7, 11
"""Sizes to trace with. Unlike each other and unlike 1, so that none is taken for a constant."""


def export_onnx(network: QDDETR, file: Path) -> None:
    """Write the inference graph of a network.

    Inputs, all float32: `src_txt` (B, T, text_dim), `src_txt_mask` (B, T), `src_vid`
    (B, V, video_dim + audio_dim) with picture and sound side by side, `src_vid_mask` (B, V).
    Outputs: `pred_logits` (B, Q, 2), `pred_spans` (B, Q, 2), `saliency_scores` (B, V).
    B, T and V may be anything from 1; dropout is off, auxiliary outputs are left out.
    """
    write_graph(network, OUTPUT_NAMES, file)


def write_graph(network: QDDETR, outputs: Sequence[str], file: Path) -> None:
    """Write the graph of any network of this kind, with these of its outputs."""
    config = network.config
    example = (
        torch.zeros(_EXAMPLE_ROWS, _EXAMPLE_TOKENS, config.text_dim),
        torch.ones(_EXAMPLE_ROWS, _EXAMPLE_TOKENS),
        torch.zeros(_EXAMPLE_ROWS, _EXAMPLE_CLIPS, config.clip_dim),
        torch.ones(_EXAMPLE_ROWS, _EXAMPLE_CLIPS),
    )
    rows, tokens, clips = (torch.export.Dim(name) for name in ("rows", "tokens", "clips"))
    with _hushed():
        torch.onnx.export(
            _Inference(network, outputs),
            example,
            file,
            dynamo=True,
            external_data=False,
            opset_version=_OPSET,
            input_names=INPUT_NAMES,
            output_names=outputs,
            dynamic_shapes=(
                {0: rows, 1: tokens},
                {0: rows, 1: tokens},
                {0: rows, 1: clips},
                {0: rows, 1: clips},
            ),
            verbose=False,
        )


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the exporter from telling of itself.

    It warns of its own deprecations, of torchvision missing, and that several inputs share an
    axis, which is meant.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Inference(nn.Module):
    """A copy of the network, in eval mode, with just the outputs that a search reads."""

    def __init__(self, network: QDDETR, outputs: Sequence[str]) -> None:
        super().__init__()
        self.outputs = tuple(outputs)
        self.network = copy.deepcopy(network).cpu()
        _fix_slopes(self.network)
        self.eval()

    def forward(
        self, src_txt: Tensor, src_txt_mask: Tensor, src_vid: Tensor, src_vid_mask: Tensor
    ) -> tuple[Tensor, ...]:
        answer = self.network(src_txt, src_txt_mask, src_vid, src_vid_mask)
        return tuple(answer[name] for name in self.outputs)


def _fix_slopes(network: nn.Module) -> None:
    """Write each PReLU with its one trained slope as a leaky ReLU, which onnxruntime runs faster.

    The function is the same; a seventh of the time of a search's run went into PReLU.
    """
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.PReLU):
                setattr(parent, name, nn.LeakyReLU(child.weight.item()))
