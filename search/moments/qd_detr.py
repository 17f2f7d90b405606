"""QD-DETR: from clips and words to moments and saliency; needs torch.

Moon et al., "Query-Dependent Video Representation for Moment Retrieval and Highlight Detection"
(CVPR 2023), as the official code computes it (wjun0830/QD-DETR, `qd_detr/model.py` and
`qd_detr/transformer.py`), but for one thing: there, the rows of a batch touch one another through
a mask with mixed-up axes. Here every row is what it is alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_layers import (
    DecoderLayer,
    EncoderLayer,
    InputProjection,
    Perceptron,
    TextPositions,
    TextToVideoLayer,
    sine_embedding,
)


class QDDETR(nn.Module):
    """The network; its state dict has exactly the official names and shapes.

    Inputs are batch first, float32, padded with zeros at the end:

    - `src_txt` (B, T, text_dim), `src_txt_mask` (B, T): 1 for a token, 0 for padding
    - `src_vid` (B, V, video_dim), `src_vid_mask` (B, V): 1 for a clip, 0 for padding
    - `src_aud` (B, V, audio_dim): sound of the same clips, which may be glued to `src_vid` (B, V,
      video_dim + audio_dim) instead. `src_aud_mask` is ignored: the clips are those of `src_vid`.

    Many sentences on one video: give `src_vid` and its mask with B = 1 and the sentences with
    their own B; and one sentence on many videos the other way round. The single row is then
    projected once and stands for all, without a copy (in train mode: with one dropout for all).

    Both ways to run it raise ValueError where clips or tokens have another width than the
    configuration says.
    """

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.global_rep_token = nn.Parameter(torch.randn(hidden))
        self.global_rep_pos = nn.Parameter(torch.randn(hidden))
        self.transformer = _Transformer(config)
        self.txt_position_embed = TextPositions(config)
        self.span_embed = Perceptron(hidden, hidden, hidden, 2)
        self.class_embed = nn.Linear(hidden, 2)
        self.query_embed = nn.Embedding(config.queries, 2)
        self.input_txt_proj = _projections(config.text_dim, config)
        self.input_vid_proj = _projections(config.clip_dim, config)
        self.saliency_proj1 = nn.Linear(hidden, hidden)
        self.saliency_proj2 = nn.Linear(hidden, hidden)

    def forward(
        self,
        src_txt: Tensor,
        src_txt_mask: Tensor,
        src_vid: Tensor,
        src_vid_mask: Tensor,
        src_aud: Tensor | None = None,
        src_aud_mask: Tensor | None = None,
    ) -> dict[str, Any]:
        """Find the moments of each row.

        Returns:
            `pred_logits` (B, Q, 2), foreground first; `pred_spans` (B, Q, 2), centre and width as
            parts of the video; `saliency_scores` (B, V), without meaning where there is padding;
            `video_mask` (B, V), the mask given; `memory` (B, V, d) and `memory_global` (B, d),
            the encoded clips and the saliency token; and if the configuration asks for it
            `aux_outputs`, a list of `pred_logits` and `pred_spans` of each decoder layer before
            the last.
        """
        clips, text = self._projected(src_txt, src_txt_mask, src_vid, src_vid_mask, src_aud)
        return self._answer(clips, text, src_vid_mask)

    def forward_with_negatives(
        self,
        src_txt: Tensor,
        src_txt_mask: Tensor,
        src_vid: Tensor,
        src_vid_mask: Tensor,
        src_aud: Tensor | None = None,
        src_aud_mask: Tensor | None = None,
    ) -> dict[str, Any]:
        """As `forward`, and score each video against the sentence of the next row.

        Returns:
            What `forward` returns, and `saliency_scores_neg` (B, V): row b read the text of row
            b + 1, the last row that of row 0. A batch of one is its own negative.
        """
        clips, text = self._projected(src_txt, src_txt_mask, src_vid, src_vid_mask, src_aud)
        answer = self._answer(clips, text, src_vid_mask)
        # Positions stay behind, as they do officially, even where they contain the text.
        negative = _Sequence(
            text.tokens.roll(-1, dims=0), text.positions, text.padding.roll(-1, dims=0)
        )
        answer["saliency_scores_neg"] = self._saliency(*self._encoded(clips, negative))
        return answer

    def _projected(
        self,
        src_txt: Tensor,
        src_txt_mask: Tensor,
        src_vid: Tensor,
        src_vid_mask: Tensor,
        src_aud: Tensor | None,
    ) -> tuple[_Sequence, _Sequence]:
        features = src_vid if src_aud is None else torch.cat((src_vid, src_aud), dim=-1)
        for name, given, wanted in (
            ("clips", features.shape[-1], self.config.clip_dim),
            ("text tokens", src_txt.shape[-1], self.config.text_dim),
        ):
            if given != wanted:
                raise ValueError(f"{name} of width {given}, but the network reads {wanted}")
        clips = self.input_vid_proj(features)
        text = self.input_txt_proj(src_txt)
        return (
            _Sequence(
                clips, _clip_positions(src_vid_mask.to(clips.dtype), clips), src_vid_mask == 0
            ),
            _Sequence(
                text,
                self.txt_position_embed(text) if self.config.text_positions else None,
                src_txt_mask == 0,
            ),
        )

    def _encoded(self, clips: _Sequence, text: _Sequence) -> tuple[Tensor, Tensor]:
        """Encoded clips (B, V, d) and encoded saliency token (B, d)."""
        assert clips.positions is not None
        read = clips.tokens
        for layer in self.transformer.t2v_encoder.layers:
            read = layer(read, clips.positions, text.tokens, text.positions, text.padding)
        rows = read.shape[0]
        tokens = torch.cat((self.global_rep_token.expand(rows, 1, -1), read), dim=1)
        positions = torch.cat(
            (self.global_rep_pos.expand(clips.positions.shape[0], 1, -1), clips.positions), dim=1
        )
        padding = nn.functional.pad(clips.padding, (1, 0), value=False)
        for layer in self.transformer.encoder.layers:
            tokens = layer(tokens, positions, padding)
        return tokens[:, 1:], tokens[:, 0]

    def _answer(self, clips: _Sequence, text: _Sequence, mask: Tensor) -> dict[str, Any]:
        memory, memory_global = self._encoded(clips, text)
        assert clips.positions is not None
        decoded = self.transformer.decoder(
            memory, clips.positions, clips.padding, self.query_embed.weight.sigmoid()
        )
        *earlier, last = (self._heads(content, anchors) for content, anchors in decoded)
        answer: dict[str, Any] = {
            **last,
            "saliency_scores": self._saliency(memory, memory_global),
            "video_mask": mask.expand(memory.shape[0], -1),
            "memory": memory,
            "memory_global": memory_global,
        }
        if self.config.aux_outputs:
            answer["aux_outputs"] = earlier
        return answer

    def _heads(self, content: Tensor, anchors: Tensor) -> dict[str, Tensor]:
        spans = (self.span_embed(content) + _inverse_sigmoid(anchors)).sigmoid()
        return {"pred_logits": self.class_embed(content), "pred_spans": spans}

    def _saliency(self, memory: Tensor, memory_global: Tensor) -> Tensor:
        keys, query = self.saliency_proj1(memory), self.saliency_proj2(memory_global)
        alike: Tensor = (keys * query.unsqueeze(1)).sum(dim=-1)
        return alike / math.sqrt(self.config.hidden)


class _Sequence(NamedTuple):
    """Tokens (B, L, d), their positions (B, L, d) or None for zeros, bool padding (B, L)."""

    tokens: Tensor
    positions: Tensor | None
    padding: Tensor


class _Layers(nn.Module):
    """Holds layers under the official name; who runs them says how."""

    def __init__(self, layers: Iterator[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class _Transformer(nn.Module):
    """The three stacks, initialised as DETR does."""

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__()
        self.t2v_encoder = _Layers(
            TextToVideoLayer(config) for _ in range(config.text_to_video_layers)
        )
        self.encoder = _Layers(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = _Decoder(config)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)


class _Decoder(nn.Module):
    """Queries that carry an anchor (centre, width), refined from layer to layer (DAB-DETR)."""

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.layers = nn.ModuleList(
            DecoderLayer(config, first=layer == 0) for layer in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.query_scale = Perceptron(hidden, hidden, hidden)
        self.ref_point_head = Perceptron(hidden, hidden, hidden)
        self.bbox_embed = Perceptron(hidden, hidden, hidden, 2)
        self.bbox_embed.start_at_zero()
        self.ref_anchor_head = Perceptron(hidden, hidden, 1)

    def forward(
        self, memory: Tensor, positions: Tensor, padding: Tensor, anchors: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Decode the clips.

        Args:
            memory: (B, V, d).
            positions: (B, V, d).
            padding: bool (B, V).
            anchors: (Q, 2), centre and width in 0…1, where the queries of every row start.

        Returns:
            Per layer the normalised content of the queries (B, Q, d) and the anchors (B, Q, 2)
            that came into the layer.
        """
        anchors = anchors.expand(memory.shape[0], -1, -1)
        incoming = anchors
        content = memory.new_zeros(*anchors.shape[:2], memory.shape[-1])
        decoded = []
        for index, layer in enumerate(self.layers):
            sine = sine_embedding(anchors * (2 * math.pi), content.shape[-1] // 2).flatten(-2)
            query_positions = self.ref_point_head(sine)
            if index > 0:
                sine = sine * self.query_scale(content)
            # One number per query, and for centre and width alike.
            sine = sine * (self.ref_anchor_head(content).sigmoid() / anchors[..., 1:])
            content = layer(content, query_positions, sine, memory, positions, padding)
            decoded.append((self.norm(content), incoming))
            if index < len(self.layers) - 1:
                incoming = (self.bbox_embed(content) + _inverse_sigmoid(anchors)).sigmoid()
                # The next layer must not pull at the anchors of this one; the heads may.
                anchors = incoming.detach()
        return decoded


def _projections(width: int, config: QDDETRConfig) -> nn.Sequential:
    last = config.input_projections - 1
    return nn.Sequential(
        *(
            InputProjection(
                width if step == 0 else config.hidden,
                config.hidden,
                config.input_dropout,
                relu=step < last,
            )
            for step in range(config.input_projections)
        )
    )


def _clip_positions(mask: Tensor, clips: Tensor) -> Tensor:
    """Where each clip lies in its video, from 2π / n to 2π, as sines and cosines: (B, V, d)."""
    counted = mask.cumsum(dim=1)
    return sine_embedding(counted / (counted[:, -1:] + 1e-6) * (2 * math.pi), clips.shape[-1])


def _inverse_sigmoid(x: Tensor) -> Tensor:
    """Undo the sigmoid; nearer than 1e-3 to 0 or 1 counts as 1e-3."""
    x = x.clamp(0, 1)
    return (x.clamp(min=1e-3) / (1 - x).clamp(min=1e-3)).log()
