"""OpenAI's names of CLIP's tensors, and those of transformers' CLIPModel: both ways.

The names are those of openai/CLIP (d05afc4) and of transformers 5. Numbers stay as they are, but
for two transposed matrices, and the stacked matrices of attention that transformers keeps apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.tensor_names import Shape, differences
from weights.clip_sizes import MLP, ClipSizes, Tensors, architecture, count_blocks, sizes_of

__all__ = ["ClipSizes", "architecture", "sizes_of", "to_openai", "to_transformers"]

_NO_PARAMETERS = {"input_resolution", "context_length", "vocab_size"}
"""Scalars that the published archives hold beside the tensors."""
_POSITION_IDS = re.compile(r"(vision|text)_model\.embeddings\.position_ids$")
"""No parameters either, in older published folders of transformers."""

_WHOLE = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # the typing error is theirs
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {"visual.proj", "text_projection"}
_TOWERS = {
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "transformer.resblocks.": "text_model.encoder.layers.",
}
_BLOCK = {
    "ln_1": "layer_norm1",
    "attn.out_proj": "self_attn.out_proj",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_QUERY_KEY_VALUE = ("q_proj", "k_proj", "v_proj")
"""OpenAI stacks the three along the first axis, in this order."""


def to_transformers(tensors: Tensors) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """OpenAI's tensors as those of a CLIPModel, with its configuration.

    Args:
        tensors: by OpenAI's names, float32 or half in any mixture (half to float32 is exact).

    Raises:
        ValueError: tensors are missing, surplus or of a wrong shape, or the picture tower is a
            ResNet.
    """
    sizes = sizes_of(tensors)
    given = {name: tensor for name, tensor in tensors.items() if name not in _NO_PARAMETERS}
    _refuse_difference(given, _openai_shapes(sizes), "OpenAI's CLIP")
    renamed: dict[str, NDArray[np.float32]] = {}
    for name, tensor in given.items():
        plain = np.asarray(tensor, dtype=np.float32)
        if name in _WHOLE:
            renamed[_WHOLE[name]] = plain.T if name in _TRANSPOSED else plain
        elif (stacked := _stacked_names(name)) is not None:
            renamed.update(zip(stacked, np.split(plain, 3), strict=True))
        else:
            renamed[_block_name(name)] = plain
    return sizes.config(), {name: np.asarray(t, order="C") for name, t in renamed.items()}


def to_openai(tensors: Tensors) -> dict[str, NDArray[np.float32]]:
    """The tensors of a CLIPModel under OpenAI's names, float32: `to_transformers` undone.

    Raises:
        ValueError: tensors are missing, surplus or of a wrong shape.
    """
    given = {name: t for name, t in tensors.items() if not _POSITION_IDS.match(name)}
    names = [*_WHOLE, *_block_names(count_blocks(given, _TOWERS.values()))]
    wanted = {new for name in names for new in (_stacked_names(name) or (_new_name(name),))}
    if faults := differences(dict.fromkeys(given, ()), dict.fromkeys(sorted(wanted), ())):
        raise ValueError(f"These are not the tensors of transformers' CLIPModel: {faults}.")
    renamed: dict[str, NDArray[np.float32]] = {}
    for name in names:
        stacked = _stacked_names(name)
        parts = [np.asarray(given[new], np.float32) for new in stacked or (_new_name(name),)]
        if len({part.shape for part in parts}) > 1:
            raise ValueError(f"{stacked} have different shapes: no CLIP has such a block.")
        whole = np.concatenate(parts) if stacked else parts[0]
        renamed[name] = np.asarray(whole.T if name in _TRANSPOSED else whole, order="C")
    _refuse_difference(renamed, _openai_shapes(sizes_of(renamed)), "transformers' CLIPModel")
    return renamed


def _openai_shapes(sizes: ClipSizes) -> dict[str, tuple[int, ...]]:
    """Every tensor of a CLIP of these sizes under its OpenAI name, with its shape."""
    vision, text, embed = sizes.vision_width, sizes.text_width, sizes.embed
    positions = (sizes.resolution // sizes.patch) ** 2 + 1
    shapes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (vision,),
        "visual.conv1.weight": (vision, 3, sizes.patch, sizes.patch),
        "visual.positional_embedding": (positions, vision),
        "visual.proj": (vision, embed),
        "token_embedding.weight": (sizes.vocabulary, text),
        "positional_embedding": (sizes.context, text),
        "text_projection": (text, embed),
        "logit_scale": (),
    }
    for layer, width in (("visual.ln_pre", vision), ("visual.ln_post", vision), ("ln_final", text)):
        shapes[f"{layer}.weight"] = shapes[f"{layer}.bias"] = (width,)
    for name in _block_names((sizes.vision_layers, sizes.text_layers)):
        width = vision if name.startswith("visual.") else text
        shapes[name] = _block_shape(name, width)
    return shapes


def _block_shape(name: str, width: int) -> tuple[int, ...]:
    layer, is_weight = name.rsplit(".", 2)[-2], name.endswith("weight")
    if name.endswith(("in_proj_weight", "in_proj_bias")):
        return (3 * width, width) if is_weight else (3 * width,)
    if layer.startswith("ln_"):
        return (width,)
    rows, columns = {"c_fc": (MLP * width, width), "c_proj": (width, MLP * width)}.get(
        layer, (width, width)
    )
    return (rows, columns) if is_weight else (rows,)


def _block_names(layers: tuple[int, int]) -> Iterator[str]:
    """OpenAI's names of all tensors in the blocks of both towers."""
    for prefix, count in zip(_TOWERS, layers, strict=True):
        for number in range(count):
            yield from (f"{prefix}{number}.attn.in_proj_{kind}" for kind in ("weight", "bias"))
            for layer in _BLOCK:
                yield from (f"{prefix}{number}.{layer}.{kind}" for kind in ("weight", "bias"))


def _new_name(name: str) -> str:
    return _WHOLE.get(name) or _block_name(name)


def _block_name(name: str) -> str:
    """transformers' name of a tensor in a block."""
    tower, number, layer, kind = _parse(name)
    return f"{_TOWERS[tower]}{number}.{_BLOCK[layer]}.{kind}"


def _stacked_names(name: str) -> tuple[str, ...] | None:
    """transformers' three names of what OpenAI stacks in one tensor; None for other tensors."""
    block, found, kind = name.rpartition(".attn.in_proj_")
    if not found:
        return None
    prefix, number = block[: block.rindex(".") + 1], block[block.rindex(".") + 1 :]
    layer = f"{_TOWERS[prefix]}{number}.self_attn"
    return tuple(f"{layer}.{part}.{kind}" for part in _QUERY_KEY_VALUE)


def _parse(name: str) -> tuple[str, str, str, str]:
    """Tower, number, layer and kind (weight or bias) of an OpenAI name."""
    tower = next(prefix for prefix in _TOWERS if name.startswith(prefix))
    number, _, rest = name[len(tower) :].partition(".")
    layer, _, kind = rest.rpartition(".")
    return tower, number, layer, kind


def _refuse_difference(tensors: Tensors, wanted: Mapping[str, Shape], model: str) -> None:
    shapes = {name: np.shape(values) for name, values in tensors.items()}
    if faults := differences(shapes, wanted):
        raise ValueError(f"These are not the tensors of {model}: {faults}.")
