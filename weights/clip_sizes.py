"""How large a CLIP is, and what it is called: read from OpenAI's tensors alone.

As `build_model` of openai/CLIP (d05afc4) does it. The published sizes are as in open_clip's
configurations of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.tensor_names import listed

Tensors = Mapping[str, NDArray[Any]]

HEAD_WIDTH = 64
"""Official rule: heads = width // 64, in both towers."""
MLP = 4
"""A block's inner layer is so many times wider."""

_BLOCKS = ("visual.transformer.resblocks.", "transformer.resblocks.")
"""What the names of the tensors in the blocks of both towers begin with."""


@dataclass(frozen=True)
class ClipSizes:
    """All sizes of a CLIP with a vision transformer."""

    embed: int
    """Length of the vector shared by pictures and sentences."""
    resolution: int
    """Pixels along a side of the picture."""
    patch: int
    """Pixels along a side of a patch."""
    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    context: int
    """Positions of the text tower."""
    vocabulary: int

    def config(self) -> dict[str, Any]:
        """The config.json of a `CLIPModel` of these sizes.

        Raises:
            ValueError: the official code cannot build a tower of such a width.
        """
        start, end = self.vocabulary - 2, self.vocabulary - 1
        return {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": self.embed,
            "text_config": {
                "model_type": "clip_text_model",
                **_tower_config(self.text_width, self.text_layers),
                "projection_dim": self.embed,
                "max_position_embeddings": self.context,
                "vocab_size": self.vocabulary,
                "bos_token_id": start,
                "eos_token_id": end,
                "pad_token_id": end,
            },
            "vision_config": {
                "model_type": "clip_vision_model",
                **_tower_config(self.vision_width, self.vision_layers),
                "projection_dim": self.embed,
                "image_size": self.resolution,
                "patch_size": self.patch,
                "num_channels": 3,
            },
        }


PUBLISHED = {
    "ViT-B/32": ClipSizes(512, 224, 32, 768, 12, 512, 12, 77, 49408),
    "ViT-B/16": ClipSizes(512, 224, 16, 768, 12, 512, 12, 77, 49408),
    "ViT-L/14": ClipSizes(768, 224, 14, 1024, 24, 768, 12, 77, 49408),
    "ViT-L/14@336px": ClipSizes(768, 336, 14, 1024, 24, 768, 12, 77, 49408),
}

_RESNETS: dict[tuple[int, ...], str] = {
    (3, 4, 6, 3): "RN50",
    (3, 4, 23, 3): "RN101",
    (4, 6, 10, 6): "RN50x4",
    (6, 8, 18, 8): "RN50x16",
    (3, 15, 36, 10): "RN50x64",
}
"""By the number of blocks in each of the four stages."""


def sizes_of(tensors: Tensors) -> ClipSizes:
    """The sizes of a CLIP, from OpenAI's tensors.

    Raises:
        ValueError: tensors that tell them are missing or have a wrong number of dimensions, or
            the picture tower is a ResNet.
    """
    if "visual.layer1.0.conv1.weight" in tensors:
        raise ValueError(
            f"This is {_resnet(tensors)}, whose picture tower is a ResNet, for which transformers "
            f"has no network: take one with a vision transformer, such as {', '.join(PUBLISHED)}."
        )
    dimensions = {
        "visual.conv1.weight": 4,
        "visual.positional_embedding": 2,
        "text_projection": 2,
        "positional_embedding": 2,
        "token_embedding.weight": 2,
    }
    absent = [name for name in dimensions if name not in tensors]
    if absent:
        raise ValueError(f"These are not the tensors of OpenAI's CLIP: no {listed(absent)}.")
    shapes = {name: np.shape(tensors[name]) for name in dimensions}
    wrong = [f"{n} {shapes[n]}" for n, count in dimensions.items() if len(shapes[n]) != count]
    if wrong:
        raise ValueError(f"These tensors have another shape than in any CLIP: {listed(wrong)}.")
    vision_width, _, _, patch = shapes["visual.conv1.weight"]
    text_width, embed = shapes["text_projection"]
    grid = math.isqrt(max(0, shapes["visual.positional_embedding"][0] - 1))
    vision, text = count_blocks(tensors, _BLOCKS)
    return ClipSizes(
        embed=embed,
        resolution=patch * grid,
        patch=patch,
        vision_width=vision_width,
        vision_layers=vision,
        text_width=text_width,
        text_layers=text,
        context=shapes["positional_embedding"][0],
        vocabulary=shapes["token_embedding.weight"][0],
    )


def architecture(tensors: Tensors) -> str:
    """What a CLIP is called: "ViT-B/32", or for unpublished sizes such as "ViT 3x64/8".

    The latter says layers, width and patch of the picture tower. ResNets are named too.

    Raises:
        ValueError: these are not the tensors of a CLIP.
    """
    if "visual.layer1.0.conv1.weight" in tensors:
        return _resnet(tensors)
    sizes = sizes_of(tensors)
    for name, published in PUBLISHED.items():
        if sizes == published:
            return name
    return f"ViT {sizes.vision_layers}x{sizes.vision_width}/{sizes.patch}"


def _resnet(tensors: Tensors) -> str:
    blocks = tuple(
        len({name.split(".")[2] for name in tensors if name.startswith(f"visual.layer{stage}.")})
        for stage in (1, 2, 3, 4)
    )
    return _RESNETS.get(blocks, f"RN {'-'.join(map(str, blocks))}")


def _tower_config(width: int, layers: int) -> dict[str, Any]:
    heads = width // HEAD_WIDTH
    if not heads or width % heads:
        raise ValueError(
            f"No CLIP of OpenAI's has a tower of width {width}: its attention has width // "
            f"{HEAD_WIDTH} heads, which must divide the width."
        )
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": MLP * width,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    }


def count_blocks(tensors: Tensors, prefixes: Iterable[str]) -> tuple[int, int]:
    """How many blocks the two towers have; gaps in their numbering are for others to notice."""
    vision, text = (
        len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})
        for prefix in prefixes
    )
    return vision, text
