"""The sizes of a QD-DETR network, and the tensors that follow from them; needs no torch.

Names and shapes are those of the official checkpoints (wjun0830/QD-DETR, `qd_detr/model.py` and
`qd_detr/transformer.py`; Moon et al., CVPR 2023).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from storage.tensor_names import Shape, differences

NamedShapes: TypeAlias = Iterator[tuple[str, Shape]]


@dataclass(frozen=True)
class QDDETRConfig:
    """Everything that a QD-DETR network is built from; the defaults are the published ones."""

    video_dim: int
    """Width of src_vid, the two numbers of the temporal endpoint feature included: 514, 2818."""
    text_dim: int
    """Width of src_txt: 512."""
    audio_dim: int = 0
    """Width of src_aud, its temporal endpoint feature included: 2050; 0 without sound."""
    hidden: int = 256
    heads: int = 8
    feedforward: int = 1024
    text_to_video_layers: int = 2
    encoder_layers: int = 2
    decoder_layers: int = 2
    queries: int = 10
    input_projections: int = 2
    max_text_tokens: int = 32
    """Rows of the table of text positions; only `text_positions` makes it a limit."""
    dropout: float = 0.1
    input_dropout: float = 0.5
    text_positions: bool = False
    """Whether text tokens have learned positions. No published network has, though all carry
    the table."""
    aux_outputs: bool = True
    """Whether the decoder layers before the last answer too, as training wants."""

    def __post_init__(self) -> None:
        if self.hidden % self.heads:
            raise ValueError(
                f"a hidden size of {self.hidden} does not divide into {self.heads} heads"
            )
        if self.hidden % 4:
            raise ValueError(
                f"a hidden size of {self.hidden} is no multiple of 4: centre and width of an "
                "anchor take half of it each, in pairs of sine and cosine"
            )

    @property
    def clip_dim(self) -> int:
        """Width of a clip as the first projection sees it: picture, then sound."""
        return self.video_dim + self.audio_dim

    def shapes(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the official state dict, in its order."""
        return dict(self._named_shapes())

    @classmethod
    def from_shapes(
        cls, shapes: Mapping[str, Shape], *, audio_dim: int = 0, heads: int = 8
    ) -> QDDETRConfig:
        """Read the sizes off the tensors of a state dict.

        Number of heads, and how the width of a clip divides into picture and sound, leave no
        trace in the shapes.

        Raises:
            ValueError: the tensors are not those of a QD-DETR network of any size; one sentence
                names those that are missing, surplus or of another shape.
        """

        def size(key: str, axis: int, otherwise: int) -> int:
            shape = shapes.get(key, ())
            return shape[axis] if axis < len(shape) else otherwise

        def layers(prefix: str) -> int:
            pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
            found = [int(match[1]) for match in map(pattern.match, shapes) if match]
            return max(found) + 1 if found else 2

        config = cls(
            video_dim=size("input_vid_proj.0.LayerNorm.weight", 0, 514 + audio_dim) - audio_dim,
            text_dim=size("input_txt_proj.0.LayerNorm.weight", 0, 512),
            audio_dim=audio_dim,
            hidden=size("global_rep_token", 0, cls.hidden),
            heads=heads,
            feedforward=size("transformer.encoder.layers.0.linear1.weight", 0, cls.feedforward),
            text_to_video_layers=layers("transformer.t2v_encoder.layers"),
            encoder_layers=layers("transformer.encoder.layers"),
            decoder_layers=layers("transformer.decoder.layers"),
            queries=size("query_embed.weight", 0, cls.queries),
            input_projections=layers("input_vid_proj"),
            max_text_tokens=size(
                "txt_position_embed.position_embeddings.weight", 0, cls.max_text_tokens
            ),
        )
        if faults := differences(shapes, config.shapes()):
            raise ValueError(f"the tensors are not those of a QD-DETR network: {faults}")
        return config

    def _named_shapes(self) -> NamedShapes:
        hidden = self.hidden
        yield "global_rep_token", (hidden,)
        yield "global_rep_pos", (hidden,)
        for layer in range(self.text_to_video_layers):
            yield from self._encoder_layer(f"transformer.t2v_encoder.layers.{layer}")
        for layer in range(self.encoder_layers):
            yield from self._encoder_layer(f"transformer.encoder.layers.{layer}")
        for layer in range(self.decoder_layers):
            yield from self._decoder_layer(f"transformer.decoder.layers.{layer}", first=layer == 0)
        yield from _norm("transformer.decoder.norm", hidden)
        yield from _perceptron("transformer.decoder.query_scale", hidden, hidden, hidden)
        yield from _perceptron("transformer.decoder.ref_point_head", hidden, hidden, hidden)
        yield from _perceptron("transformer.decoder.bbox_embed", hidden, hidden, hidden, 2)
        yield from _perceptron("transformer.decoder.ref_anchor_head", hidden, hidden, 1)
        yield "txt_position_embed.position_embeddings.weight", (self.max_text_tokens, hidden)
        yield from _norm("txt_position_embed.LayerNorm", hidden)
        yield from _perceptron("span_embed", hidden, hidden, hidden, 2)
        yield from _linear("class_embed", hidden, 2)
        yield "query_embed.weight", (self.queries, 2)
        for name, width in (("input_txt_proj", self.text_dim), ("input_vid_proj", self.clip_dim)):
            for step in range(self.input_projections):
                inputs = width if step == 0 else hidden
                yield from _norm(f"{name}.{step}.LayerNorm", inputs)
                yield from _linear(f"{name}.{step}.net.1", inputs, hidden)
        yield from _linear("saliency_proj1", hidden, hidden)
        yield from _linear("saliency_proj2", hidden, hidden)

    def _encoder_layer(self, prefix: str) -> NamedShapes:
        yield f"{prefix}.self_attn.in_proj_weight", (3 * self.hidden, self.hidden)
        yield f"{prefix}.self_attn.in_proj_bias", (3 * self.hidden,)
        yield from _linear(f"{prefix}.self_attn.out_proj", self.hidden, self.hidden)
        yield from self._feedforward(prefix)
        yield from _norm(f"{prefix}.norm1", self.hidden)
        yield from _norm(f"{prefix}.norm2", self.hidden)
        yield f"{prefix}.activation.weight", (1,)

    def _decoder_layer(self, prefix: str, *, first: bool) -> NamedShapes:
        for name in ("sa_qcontent", "sa_qpos", "sa_kcontent", "sa_kpos", "sa_v"):
            yield from _linear(f"{prefix}.{name}_proj", self.hidden, self.hidden)
        yield from _linear(f"{prefix}.self_attn.out_proj", self.hidden, self.hidden)
        yield from _norm(f"{prefix}.norm1", self.hidden)
        for name in ("ca_qcontent", "ca_qpos", "ca_kcontent", "ca_kpos", "ca_v", "ca_qpos_sine"):
            if first or name != "ca_qpos":
                yield from _linear(f"{prefix}.{name}_proj", self.hidden, self.hidden)
        yield from _linear(f"{prefix}.cross_attn.out_proj", self.hidden, self.hidden)
        yield from self._feedforward(prefix)
        yield from _norm(f"{prefix}.norm2", self.hidden)
        yield from _norm(f"{prefix}.norm3", self.hidden)
        yield f"{prefix}.activation.weight", (1,)

    def _feedforward(self, prefix: str) -> NamedShapes:
        yield from _linear(f"{prefix}.linear1", self.hidden, self.feedforward)
        yield from _linear(f"{prefix}.linear2", self.feedforward, self.hidden)


def _linear(prefix: str, inputs: int, outputs: int) -> NamedShapes:
    yield f"{prefix}.weight", (outputs, inputs)
    yield f"{prefix}.bias", (outputs,)


def _norm(prefix: str, width: int) -> NamedShapes:
    yield f"{prefix}.weight", (width,)
    yield f"{prefix}.bias", (width,)


def _perceptron(prefix: str, *widths: int) -> NamedShapes:
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        yield from _linear(f"{prefix}.layers.{layer}", inputs, outputs)
