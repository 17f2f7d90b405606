"""The layers of QD-DETR; needs torch.

Written from the paper (Moon et al., "Query-Dependent Video Representation for Moment Retrieval
and Highlight Detection", CVPR 2023) and from what the official code computes
(wjun0830/QD-DETR, `qd_detr/transformer.py`, `qd_detr/attention.py`). Attribute names are the
official ones, for they name the tensors of a checkpoint.

Batch first. Letters: B rows, V clips, T text tokens, Q moment queries, L any of the three,
d hidden size. Where B differs between two arguments, one of them is 1 and stands for all rows.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from search.moments.qd_detr_config import QDDETRConfig


def sine_embedding(angles: Tensor, width: int) -> Tensor:
    """Sines and cosines of angles at `width` / 2 wavelengths, interleaved: (...) → (..., width)."""
    even = torch.arange(0, width, 2, dtype=angles.dtype, device=angles.device)
    phases = angles.unsqueeze(-1) / 10000 ** (even / width)
    return torch.stack((phases.sin(), phases.cos()), dim=-1).flatten(-2)


class Perceptron(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x) if index == last else functional.relu(layer(x))
        return x

    def start_at_zero(self) -> None:
        """Answer zero until trained."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


class InputProjection(nn.Module):
    """One step from features to the hidden size: LayerNorm, dropout, Linear, and perhaps ReLU."""

    def __init__(self, inputs: int, outputs: int, dropout: float, *, relu: bool) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(inputs)
        self.net = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, outputs))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.net(self.LayerNorm(x))
        return functional.relu(x) if self.relu else x


class TextPositions(nn.Module):
    """Learned positions of text tokens; what is normalised contains the text itself."""

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__()
        self.position_embeddings = nn.Embedding(config.max_text_tokens, config.hidden)
        self.LayerNorm = nn.LayerNorm(config.hidden)
        self.dropout = nn.Dropout(config.input_dropout)

    def forward(self, text: Tensor) -> Tensor:
        table = self.position_embeddings.weight
        if text.shape[1] > len(table):
            raise ValueError(f"{text.shape[1]} text tokens, but positions for {len(table)} only")
        positions: Tensor = self.dropout(self.LayerNorm(text + table[: text.shape[1]]))
        return positions


class Attention(nn.Module):
    """Multi-head attention over queries, keys and values that are projected already.

    The scaling follows the width of the queries, which may be wider than the values.
    """

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__()
        self.out_proj = nn.Linear(config.hidden, config.hidden)
        nn.init.zeros_(self.out_proj.bias)
        self.heads = config.heads
        self.dropout = nn.Dropout(config.dropout)

    def split(self, x: Tensor) -> Tensor:
        """(B, L, d) → (B, heads, L, d / heads)."""
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None) -> Tensor:
        """Mix the values, all three split into heads.

        Args:
            query: (B, heads, Lq, w).
            key: (B, heads, Lk, w).
            value: (B, heads, Lk, d / heads).
            padding: bool (B, Lk), True where a key is not to be looked at.

        Returns:
            (B, Lq, d).
        """
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        if padding is not None:
            # Not minus infinity: a row of padding alone would become NaN.
            lowest = torch.finfo(scores.dtype).min
            scores = scores.masked_fill(padding[:, None, None, :], lowest)
        mixed = self.dropout(scores.softmax(dim=-1)) @ value
        attended: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return attended


class PackedAttention(Attention):
    """Attention with the projections of query, key and value in one tensor, as torch packs it."""

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__(config)
        hidden = config.hidden
        self.in_proj_weight = nn.Parameter(torch.empty(3 * hidden, hidden))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * hidden))
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor) -> Tensor:
        hidden = self.out_proj.in_features
        query, key, value = (
            self.split(functional.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows]))
            for x, rows in (
                (query, slice(hidden)),
                (key, slice(hidden, 2 * hidden)),
                (value, slice(2 * hidden, None)),
            )
        )
        return self.attend(query, key, value, padding)


class _AttendThenFeedForward(nn.Module):
    """What both kinds of encoder layer are made of."""

    def __init__(self, config: QDDETRConfig) -> None:
        super().__init__()
        self.self_attn = PackedAttention(config)
        self.linear1 = nn.Linear(config.hidden, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, config.hidden)
        self.norm1 = nn.LayerNorm(config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden)
        self.activation = nn.PReLU()
        self.dropout = nn.Dropout(config.dropout)

    def _feed_forward(self, x: Tensor) -> Tensor:
        x = self.linear2(self.dropout(self.activation(self.linear1(x))))
        fed: Tensor = self.dropout(x)
        return fed


class TextToVideoLayer(_AttendThenFeedForward):
    """Clips read the words. norm1 stands before the feed-forward branch, not on the residual."""

    def forward(
        self,
        clips: Tensor,
        clip_positions: Tensor,
        text: Tensor,
        text_positions: Tensor | None,
        text_padding: Tensor,
    ) -> Tensor:
        """(B, V, d), (B, V, d), (B, T, d), (B, T, d), bool (B, T) → (B, V, d)."""
        keys = text if text_positions is None else text + text_positions
        read = self.self_attn(clips + clip_positions, keys, text, text_padding)
        clips = clips + self.dropout(read)
        fed: Tensor = self.norm2(clips + self._feed_forward(self.norm1(clips)))
        return fed


class EncoderLayer(_AttendThenFeedForward):
    """The post-norm layer of DETR."""

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
        """(B, L, d), (B, L, d), bool (B, L) → (B, L, d)."""
        placed = x + positions
        x = self.norm1(x + self.dropout(self.self_attn(placed, placed, x, padding)))
        fed: Tensor = self.norm2(x + self._feed_forward(x))
        return fed


class DecoderLayer(nn.Module):
    """The layer of conditional DETR and DAB-DETR: positions are compared apart from content.

    Only the first layer mixes the positions into the content of the cross-attention as well.
    """

    def __init__(self, config: QDDETRConfig, *, first: bool) -> None:
        super().__init__()
        hidden = config.hidden
        self.sa_qcontent_proj = nn.Linear(hidden, hidden)
        self.sa_qpos_proj = nn.Linear(hidden, hidden)
        self.sa_kcontent_proj = nn.Linear(hidden, hidden)
        self.sa_kpos_proj = nn.Linear(hidden, hidden)
        self.sa_v_proj = nn.Linear(hidden, hidden)
        self.self_attn = Attention(config)
        self.norm1 = nn.LayerNorm(hidden)
        self.ca_qcontent_proj = nn.Linear(hidden, hidden)
        self.ca_qpos_proj = nn.Linear(hidden, hidden) if first else None
        self.ca_kcontent_proj = nn.Linear(hidden, hidden)
        self.ca_kpos_proj = nn.Linear(hidden, hidden)
        self.ca_v_proj = nn.Linear(hidden, hidden)
        self.ca_qpos_sine_proj = nn.Linear(hidden, hidden)
        self.cross_attn = Attention(config)
        self.linear1 = nn.Linear(hidden, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.norm3 = nn.LayerNorm(hidden)
        self.activation = nn.PReLU()
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        content: Tensor,
        query_positions: Tensor,
        anchor_sine: Tensor,
        memory: Tensor,
        memory_positions: Tensor,
        memory_padding: Tensor,
    ) -> Tensor:
        """(B, Q, d), (B, Q, d), (B, Q, d), (B, V, d), (B, V, d), bool (B, V) → (B, Q, d)."""
        among_queries = self._self_attention(content, query_positions)
        content = self.norm1(content + self.dropout(among_queries))
        read = self._cross_attention(
            content, query_positions, anchor_sine, memory, memory_positions, memory_padding
        )
        content = self.norm2(content + self.dropout(read))
        fed = self.linear2(self.dropout(self.activation(self.linear1(content))))
        content = self.norm3(content + self.dropout(fed))
        return content

    def _self_attention(self, content: Tensor, positions: Tensor) -> Tensor:
        split = self.self_attn.split
        query = self.sa_qcontent_proj(content) + self.sa_qpos_proj(positions)
        key = self.sa_kcontent_proj(content) + self.sa_kpos_proj(positions)
        value = self.sa_v_proj(content)
        return self.self_attn.attend(split(query), split(key), split(value), padding=None)

    def _cross_attention(
        self,
        content: Tensor,
        query_positions: Tensor,
        anchor_sine: Tensor,
        memory: Tensor,
        memory_positions: Tensor,
        memory_padding: Tensor,
    ) -> Tensor:
        split = self.cross_attn.split
        query, key = self.ca_qcontent_proj(content), self.ca_kcontent_proj(memory)
        key_position = self.ca_kpos_proj(memory_positions)
        if self.ca_qpos_proj is not None:
            query = query + self.ca_qpos_proj(query_positions)
            key = key + key_position
        key_position = key_position.expand_as(key)
        return self.cross_attn.attend(
            torch.cat((split(query), split(self.ca_qpos_sine_proj(anchor_sine))), dim=-1),
            torch.cat((split(key), split(key_position)), dim=-1),
            split(self.ca_v_proj(memory)),
            memory_padding,
        )
