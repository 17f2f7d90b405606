"""OpenAI's CLIP becomes a CLIPModel of transformers that says the same, and back again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import case_files, closeness, folders_or_skip, read_arrays, read_case

from storage.checkpoints import read_checkpoint
from weights.clip_keys import architecture, to_openai, to_transformers

Tensors = dict[str, NDArray[Any]]


def openai_clip(
    vision: tuple[int, int] = (64, 1),
    text: tuple[int, int] = (64, 1),
    patch: int = 8,
    grid: int = 2,
) -> Tensors:
    """Small random tensors under OpenAI's names; (width, blocks) of each tower."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (vision[0],),
        "visual.conv1.weight": (vision[0], 3, patch, patch),
        "visual.positional_embedding": (grid**2 + 1, vision[0]),
        "visual.proj": (vision[0], 16),
        "token_embedding.weight": (30, text[0]),
        "positional_embedding": (12, text[0]),
        "text_projection": (text[0], 16),
        "logit_scale": (),
    }
    norms = [("visual.ln_pre", vision[0]), ("visual.ln_post", vision[0]), ("ln_final", text[0])]
    for prefix, (width, blocks) in (("visual.", vision), ("", text)):
        for number in range(blocks):
            block = f"{prefix}transformer.resblocks.{number}"
            norms += [(f"{block}.ln_1", width), (f"{block}.ln_2", width)]
            shapes |= {
                f"{block}.attn.in_proj_weight": (3 * width, width),
                f"{block}.attn.in_proj_bias": (3 * width,),
                f"{block}.attn.out_proj.weight": (width, width),
                f"{block}.attn.out_proj.bias": (width,),
                f"{block}.mlp.c_fc.weight": (4 * width, width),
                f"{block}.mlp.c_fc.bias": (4 * width,),
                f"{block}.mlp.c_proj.weight": (width, 4 * width),
                f"{block}.mlp.c_proj.bias": (width,),
            }
    for norm, width in norms:
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    return {
        name: random.standard_normal(shape).astype(np.float16) for name, shape in shapes.items()
    }


def published(
    layers: int, width: int, patch: int, resolution: int, text: int, embed: int
) -> Tensors:
    """What tells a published size, at no cost: the tensors are one number seen many times."""
    shapes: dict[str, tuple[int, ...]] = {
        "visual.conv1.weight": (width, 3, patch, patch),
        "visual.positional_embedding": ((resolution // patch) ** 2 + 1, width),
        "text_projection": (text, embed),
        "positional_embedding": (77, text),
        "token_embedding.weight": (49408, text),
    }
    for prefix, blocks in (("visual.", layers), ("", 12)):
        for number in range(blocks):
            shapes[f"{prefix}transformer.resblocks.{number}.attn.in_proj_weight"] = (1, 1)
    return {name: np.broadcast_to(np.float16(0), shape) for name, shape in shapes.items()}


def resnet(*blocks: int) -> Tensors:
    names = [f"visual.layer{s}.{b}.conv1.weight" for s, n in enumerate(blocks, 1) for b in range(n)]
    return {name: np.zeros(1, np.float16) for name in names}


WIDTHS = st.sampled_from([64, 96, 128])


@settings(deadline=None, max_examples=20)
@given(
    vision=st.tuples(WIDTHS, st.integers(0, 3)),
    text=st.tuples(WIDTHS, st.integers(0, 3)),
    grid=st.integers(1, 4),
)
def test_there_and_back_is_the_same_in_float32(
    vision: tuple[int, int], text: tuple[int, int], grid: int
) -> None:
    original = openai_clip(vision, text, grid=grid)
    config, renamed = to_transformers(original)
    restored = to_openai(renamed)
    assert restored.keys() == original.keys()
    for name, tensor in original.items():
        assert restored[name].dtype == np.float32
        assert restored[name].shape == tensor.shape
        np.testing.assert_array_equal(restored[name], tensor.astype(np.float32))
    assert config["vision_config"]["num_attention_heads"] == vision[0] // 64
    assert config["vision_config"]["image_size"] == 8 * grid


def test_scalars_and_position_ids_are_no_parameters() -> None:
    original = openai_clip()
    scalars = {name: np.array(7) for name in ("input_resolution", "context_length", "vocab_size")}
    _, renamed = to_transformers({**original, **scalars})
    assert not scalars.keys() & renamed.keys()
    ids = {f"{t}_model.embeddings.position_ids": np.arange(3)[None] for t in ("text", "vision")}
    assert to_openai({**renamed, **ids}).keys() == original.keys()


@pytest.mark.parametrize(
    ("tensors", "name"),
    [
        (published(12, 768, 32, 224, 512, 512), "ViT-B/32"),
        (published(12, 768, 16, 224, 512, 512), "ViT-B/16"),
        (published(24, 1024, 14, 224, 768, 768), "ViT-L/14"),
        (published(24, 1024, 14, 336, 768, 768), "ViT-L/14@336px"),
        (openai_clip(vision=(64, 3)), "ViT 3x64/8"),
        (resnet(3, 4, 6, 3), "RN50"),
        (resnet(3, 15, 36, 10), "RN50x64"),
        (resnet(1, 1, 1, 1), "RN 1-1-1-1"),
    ],
)
def test_an_architecture_is_told_from_its_tensors(tensors: Tensors, name: str) -> None:
    assert architecture(tensors) == name


def test_a_resnet_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"RN101.*ResNet.*ViT-B/32"):
        to_transformers(resnet(3, 4, 23, 3))


def test_missing_and_surplus_tensors_are_named_together() -> None:
    tensors = openai_clip()
    del tensors["ln_final.bias"], tensors["transformer.resblocks.0.attn.in_proj_bias"]
    tensors["optimizer.step"] = np.zeros(1)
    with pytest.raises(ValueError, match=r"missing .*ln_final.bias.*surplus optimizer"):
        to_transformers(tensors)
    _, renamed = to_transformers(openai_clip())
    del renamed["text_model.encoder.layers.0.self_attn.k_proj.weight"]
    renamed["classifier.weight"] = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match=r"missing .*k_proj.*surplus classifier"):
        to_openai(renamed)


def test_a_missing_block_shows_even_under_a_huge_number() -> None:
    tensors = openai_clip(text=(64, 2))
    for name in [name for name in tensors if name.startswith("transformer.resblocks.1.")]:
        tensors[name.replace(".1.", ".4000000000.", 1)] = tensors.pop(name)
    with pytest.raises(ValueError, match=r"missing .*transformer\.resblocks\.1\..*surplus"):
        to_transformers(tensors)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ln_final.weight", (65,)),
        ("visual.positional_embedding", (6, 64)),
        ("transformer.resblocks.0.mlp.c_fc.weight", (64, 256)),
        ("text_projection", (64,)),
        ("visual.conv1.weight", (64, 3, 8, 7)),
    ],
)
def test_a_wrong_shape_is_named(name: str, shape: tuple[int, ...]) -> None:
    tensors = openai_clip()
    tensors[name] = np.zeros(shape, np.float16)
    with pytest.raises(ValueError, match=name):
        to_transformers(tensors)


def test_a_tower_that_official_code_cannot_build_is_refused() -> None:
    with pytest.raises(ValueError, match="width 32"):
        to_transformers(openai_clip(text=(32, 1)))


official_weights = pytest.mark.parametrize(
    "file",
    folders_or_skip(
        [
            *case_files("clip_towers", "*.safetensors", arrays=["image_features"]),
            *case_files("clip_towers", "*.pt", arrays=["image_features"]),
        ],
        "weights under OpenAI's names",
        "clip_towers",
    ),
)


@official_weights
def test_official_weights_give_official_features_in_transformers(file: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch and transformers (.[clip])")
    transformers = pytest.importorskip("transformers", reason="needs transformers (.[clip])")
    config, tensors = to_transformers(read_checkpoint(file).tensors)
    model = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    model.load_state_dict({n: torch.from_numpy(t.copy()) for n, t in tensors.items()}, strict=True)

    recorded = read_arrays(file.parent / "io.npz")
    tolerance = closeness(read_case(file.parent)["tolerance"])
    with torch.inference_mode():
        pictures = model.get_image_features(torch.from_numpy(recorded["image_input"]))
        sentences = model.get_text_features(torch.from_numpy(recorded["token_ids"]).long())
    for given_, name in (
        (pictures.pooler_output, "image_features"),
        (sentences.pooler_output, "text_features"),
        (sentences.last_hidden_state, "text_last_hidden_state"),
    ):
        np.testing.assert_allclose(given_.numpy(), recorded[name], **tolerance, err_msg=name)


@official_weights
def test_official_names_come_back_from_the_transformers_folder(file: Path) -> None:
    official = read_checkpoint(file).tensors
    scalars = {"input_resolution", "context_length", "vocab_size"}
    folders = [config.parent for config in sorted(file.parent.glob("*/config.json"))]
    if not folders:
        pytest.skip(f"no folder of transformers is recorded beside {file}")
    for folder in folders:
        restored = to_openai(read_checkpoint(folder).tensors)
        assert restored.keys() == official.keys() - scalars
        for name, tensor in restored.items():
            np.testing.assert_array_equal(tensor, np.asarray(official[name], np.float32))
