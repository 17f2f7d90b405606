"""QD-DETR sized for the lite vectors, with two additions: its clips come with the similarity curve
and the cuts, and it says whether the segment shows the sentence at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search.moments.lite_inputs import CHANNELS, OUTPUT_NAMES, width
from search.moments.qd_detr import QDDETR
from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_export import write_graph
from search.moments.qd_detr_inputs import TEF_DIM


def lite_config(dim: int, hidden: int = 128, dropout: float = 0.1) -> QDDETRConfig:
    """The sizes for vectors of `dim` numbers."""
    return QDDETRConfig(
        video_dim=width(dim),
        text_dim=dim,
        hidden=hidden,
        heads=4,
        feedforward=2 * hidden,
        queries=10,
        dropout=dropout,
        input_dropout=0.3,
    )


class LiteInput(nn.Module):
    """Clips (B, V, dim + 2 + channels) to (B, V, d): vectors and numbers by ways of their own.

    One LayerNorm over both, as in QD-DETR, would take the scale out of the standard scores, and
    the scale is what tells a match from the best of a bad lot. While it learns, the vectors of
    some rows are left out, so that the shape of the curve is learnt and not the photos.
    """

    def __init__(self, dim: int, config: QDDETRConfig, without_vectors: float) -> None:
        super().__init__()
        hidden = config.hidden
        self.dim = dim
        self.without_vectors = without_vectors
        self.vectors = nn.Sequential(
            nn.LayerNorm(dim), nn.Dropout(config.input_dropout), nn.Linear(dim, hidden)
        )
        self.numbers = nn.Sequential(
            nn.Linear(TEF_DIM + len(CHANNELS), hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )
        self.norm = nn.LayerNorm(hidden)

    def forward(self, clips: Tensor) -> Tensor:
        vectors = self.vectors(clips[..., : self.dim])
        if self.training and self.without_vectors:
            kept = torch.rand(len(clips), 1, 1, device=clips.device) >= self.without_vectors
            vectors = vectors * kept
        mixed: Tensor = self.norm(vectors + self.numbers(clips[..., self.dim :]))
        return mixed


class LiteMoments(QDDETR):
    """`forward` returns what QDDETR does, and `exists` (B,): the logit that it is there."""

    def __init__(self, config: QDDETRConfig, without_vectors: float = 0.5) -> None:
        super().__init__(config)
        dim = config.video_dim - TEF_DIM - len(CHANNELS)
        self.input_vid_proj = LiteInput(dim, config, without_vectors)  # type: ignore[assignment]
        self.exists = nn.Sequential(
            nn.Linear(2 * config.hidden, config.hidden), nn.GELU(), nn.Linear(config.hidden, 1)
        )

    def forward(
        self,
        src_txt: Tensor,
        src_txt_mask: Tensor,
        src_vid: Tensor,
        src_vid_mask: Tensor,
        src_aud: Tensor | None = None,
        src_aud_mask: Tensor | None = None,
    ) -> dict[str, Any]:
        answer = super().forward(src_txt, src_txt_mask, src_vid, src_vid_mask)
        padding = answer["video_mask"] == 0
        weights = answer["saliency_scores"].masked_fill(padding, -1e4).softmax(dim=1)
        salient = (weights.unsqueeze(-1) * answer["memory"]).sum(dim=1)
        both = torch.cat((answer["memory_global"], salient), dim=-1)
        answer["exists"] = self.exists(both).squeeze(-1)
        return answer


def export(network: LiteMoments, file: Path) -> None:
    """Write the graph that a search runs: inputs and outputs of `search.moments.lite_inputs`."""
    write_graph(network, OUTPUT_NAMES, file)
