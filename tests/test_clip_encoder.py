"""CLIP and its relatives as picture encoders: tiny random models in Hugging Face folders."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import films
import numpy as np
import pytest
from clip_folders import as_bundle, random_clip
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the picture tower runs on torch")
transformers = pytest.importorskip("transformers", reason="it is loaded by transformers")

from safetensors.numpy import load_file, save_file  # noqa: E402

from indexer.encoders.clip import ClipImageEncoder, in_batches  # noqa: E402
from indexer.encoders.clip_network import ClipNetwork, names_bfloat16  # noqa: E402
from indexer.media import open_film  # noqa: E402
from indexer.pipeline import Fixity, IndexSettings, index_film  # noqa: E402
from indexer.scenes import DEFAULT  # noqa: E402
from storage.bundles import FITS, EncoderBundle  # noqa: E402
from storage.errors import BundleError  # noqa: E402
from storage.records import Location  # noqa: E402

Pictures = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CLIP folder that a test may damage."""
    return random_clip(tmp_path / "tiny")


@pytest.fixture
def bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> EncoderBundle:
    return as_bundle(folder, monkeypatch, dim=48, side=32)


def noise(count: int, side: int = 32) -> Pictures:
    return np.random.default_rng(7).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    cosines: Vectors = (ours * theirs).sum(axis=1)
    return cosines


# Families

LAYERS = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2}
VISION = {**LAYERS, **HEADS, "image_size": 32, "patch_size": 8}
WORDS = {**LAYERS, **HEADS, "vocab_size": 200, "bos_token_id": 0, "eos_token_id": 2}


def siglip() -> Any:
    text = {**WORDS, "max_position_embeddings": 64}
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    return transformers.SiglipModel(config)


def altclip() -> Any:
    text = {**WORDS, "project_dim": 64, "pad_token_id": 1}
    config = transformers.AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=64)
    return transformers.AltCLIPModel(config)


def metaclip2() -> Any:
    config = transformers.MetaClip2Config(
        text_config=WORDS, vision_config=VISION, projection_dim=64
    )
    return transformers.MetaClip2Model(config)


def chinese_clip() -> Any:
    config = transformers.ChineseCLIPConfig(
        text_config=WORDS, vision_config=VISION, projection_dim=64
    )
    return transformers.ChineseCLIPModel(config)


@pytest.mark.parametrize("make", [siglip, altclip, metaclip2, chinese_clip])
def test_relatives_of_clip_work_as_they_are(
    make: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        model = make().eval()
    except AttributeError as error:
        pytest.skip(f"this transformers does not know the family: {error}")
    model.save_pretrained(tmp_path / "relative")
    network = ClipNetwork(as_bundle(tmp_path / "relative", monkeypatch, 64, 32), "float32")
    pixels = network.pixels(noise(3))
    with torch.inference_mode():
        found = model.get_image_features(pixel_values=pixels)
    expected = torch.nn.functional.normalize(getattr(found, "pooler_output", found), dim=-1)
    assert np.allclose(network.encode(noise(3)), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("side", [24, 48])
def test_pictures_of_another_size(
    side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = as_bundle(random_clip(tmp_path / "tiny", side), monkeypatch, 48, side)
    encoder = ClipImageEncoder(bundle)
    assert encoder.picture_size == (side, side)
    assert encoder.encode(noise(2, side)).shape == (2, 48)


# Vectors


def test_vectors_have_unit_length_whatever_the_batch(bundle: EncoderBundle) -> None:
    together = ClipImageEncoder(bundle, "float32").encode(noise(7))
    in_threes = ClipImageEncoder(bundle, "float32", batch_size=3).encode(noise(7))
    assert together.shape == (7, 48) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert np.allclose(together, in_threes, atol=1e-5)


def test_weights_stored_in_half_precision_compute_in_float32(
    folder: Path, bundle: EncoderBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    halved = folder.parent / "halved"
    transformers.CLIPModel.from_pretrained(folder).half().save_pretrained(halved)
    ours = ClipImageEncoder(as_bundle(halved, monkeypatch, 48, 32), "float32").encode(noise(4))
    assert (cosines(ours, ClipImageEncoder(bundle, "float32").encode(noise(4))) > 0.99999).all()


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float16"])
def test_half_precision_stays_close_to_float32(precision: str, bundle: EncoderBundle) -> None:
    exact = ClipImageEncoder(bundle, "float32").encode(noise(6))
    assert (cosines(ClipImageEncoder(bundle, precision).encode(noise(6)), exact) > 0.999).all()


def test_a_network_too_large_for_float16_goes_on_in_float32(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swell(weights: dict[str, Vectors]) -> None:
        weights["vision_model.encoder.layers.0.mlp.fc2.weight"] *= 1e7

    _change_weights(folder, swell)
    network = ClipNetwork(as_bundle(folder, monkeypatch, 48, 32), "float16")
    vectors = network.encode(noise(3))
    assert network.precision == "float32"
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_precision_that_does_not_exist_is_refused(bundle: EncoderBundle) -> None:
    with pytest.raises(ValueError, match="float32, bfloat16, float16"):
        ClipImageEncoder(bundle, "int4")


@pytest.mark.parametrize(
    ("line", "is_faster"),
    [
        ("flags\t\t: fpu avx2 avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu sse avx2", False),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("Features\t: fp asimd", False),
        ("model name\t: Processor with bf16 in its name", False),
    ],
)
def test_what_linux_says_of_bfloat16(line: str, is_faster: bool) -> None:
    assert names_bfloat16(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n") == is_faster


# Memory


def test_batches_are_halved_until_they_fit_in_memory() -> None:
    tried: list[int] = []

    def encode(pictures: Pictures) -> Vectors:
        tried.append(len(pictures))
        if len(pictures) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return pictures.mean(axis=(1, 2)).astype(np.float32)

    vectors, batch_size = in_batches(encode, noise(10), 16)
    assert np.allclose(vectors, noise(10).mean(axis=(1, 2)))
    assert batch_size == 2 and tried == [10, 5, 2, 2, 2, 2, 2]


def test_too_little_memory_for_one_picture_is_said_in_a_sentence() -> None:
    def encode(pictures: Pictures) -> Vectors:
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes")

    with pytest.raises(BundleError, match="not enough memory"):
        in_batches(encode, noise(3), 2)


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    def encode(pictures: Pictures) -> Vectors:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        in_batches(encode, noise(3), 2)


def test_the_text_half_is_not_kept(bundle: EncoderBundle) -> None:
    kept = {name for name, _ in ClipNetwork(bundle, "float32")._model.named_parameters()}
    assert kept and not any(name.startswith("text_") for name in kept)


# What cannot be used


def _change_weights(folder: Path, change: Callable[[dict[str, Vectors]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_flipped_bit_is_noticed_before_anything_is_indexed(
    folder: Path, bundle: EncoderBundle
) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.safetensors is damaged"):
        ClipImageEncoder(bundle).load()


def test_weights_that_are_no_numbers_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change_weights(folder, lambda weights: weights["visual_projection.weight"].fill(np.nan))
    encoder = ClipImageEncoder(as_bundle(folder, monkeypatch, 48, 32))
    with pytest.raises(BundleError, match="no numbers"):
        encoder.encode(noise(1))


def test_missing_weights_are_named_not_made_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(weights: dict[str, Vectors]) -> None:
        del weights["visual_projection.weight"]

    _change_weights(folder, drop)
    encoder = ClipImageEncoder(as_bundle(folder, monkeypatch, 48, 32))
    with pytest.raises(BundleError, match=r"first is visual_projection\.weight"):
        encoder.load()


def test_a_folder_with_the_picture_half_only_will_do(
    folder: Path, bundle: EncoderBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ClipImageEncoder(bundle, "float32").encode(noise(2))

    def drop(weights: dict[str, Vectors]) -> None:
        for name in [name for name in weights if name.startswith("text_")]:
            del weights[name]

    _change_weights(folder, drop)
    ours = ClipImageEncoder(as_bundle(folder, monkeypatch, 48, 32), "float32").encode(noise(2))
    assert np.array_equal(ours, expected)


def test_a_manifest_that_does_not_fit_the_network_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="pictures of 32 × 32, not of 64 × 64"):
        ClipImageEncoder(as_bundle(folder, monkeypatch, dim=48, side=64)).load()
    with pytest.raises(BundleError, match="vectors of 48 numbers, its manifest says 512"):
        ClipImageEncoder(as_bundle(folder, monkeypatch, dim=512, side=32)).encode(noise(1))


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _unknown_family(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "telepathy"}')


def _words_only(folder: Path) -> None:
    config = transformers.BertConfig(**LAYERS, **HEADS, vocab_size=50)
    transformers.BertModel(config).save_pretrained(folder)


def _any_size(folder: Path) -> None:
    vision = {**LAYERS, **HEADS, "patch_size": 8, "num_patches": 16}
    config = transformers.Siglip2Config(text_config=WORDS, vision_config=vision)
    transformers.Siglip2Model(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_no_config, "config"),
        (_unknown_family, "telepathy"),
        (_words_only, "BertModel has no picture tower"),
        (_any_size, "no fixed size"),
    ],
)
def test_folders_that_hold_no_picture_tower_are_refused(
    spoil: Callable[[Path], None], why: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(folder)
    with pytest.raises(BundleError, match=f"(?s)cannot be used as a picture tower.*{why}"):
        ClipImageEncoder(as_bundle(folder, monkeypatch, 48, 32)).load()


def test_without_torch_it_says_what_to_install(
    bundle: EncoderBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "indexer.encoders.clip_network")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BundleError, match=r"pip install '\.\[clip\]'"):
        ClipImageEncoder(bundle).load()


def test_torch_is_not_imported_before_weights_are_loaded() -> None:
    code = (
        "import sys, indexer.encoders.clip; "
        "sys.exit(not {'torch', 'transformers'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_loading_says_nothing_on_the_terminal(
    bundle: EncoderBundle, capfd: pytest.CaptureFixture[str]
) -> None:
    ClipImageEncoder(bundle).load()
    assert capfd.readouterr() == ("", "")


# In a film


@pytest.mark.parametrize("fit", [None, "letterbox", "squash"])
def test_a_films_clip_has_the_vector_of_its_frame_prepared_in_the_way_of_the_bundle(
    fit: str | None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = as_bundle(folder, monkeypatch, 48, 32, fit)
    encoder = ClipImageEncoder(bundle, "float32")
    picture = films.texture((200, 40, 40), 0)
    picture[:, :30] = (30, 60, 210)  # a strip that only a crop leaves out
    path = films.write(tmp_path / "strip.mp4", [picture] * 50)
    with open_film(path) as opened:
        video = index_film(
            opened,
            Fixity(Location("/films/x.mp4", 1, 1), "ab" * 32),
            encoder,
            IndexSettings(DEFAULT),
            lambda _position_s: None,
        )
    with open_film(path) as opened:
        near = [frame for frame in opened.frames() if abs(frame.time_s - 1.0) < 0.05]
    like: dict[str, float] = {}
    for way in FITS:
        vectors = encoder.encode(np.stack([frame.picture_rgb(32, 32, way) for frame in near]))
        like[way] = float((vectors @ video.clip_vectors[0].astype(np.float32)).max())
    used = fit or "centre-crop"
    assert like[used] > 0.9999  # rows of an archive are float16
    assert all(like[way] < 0.99 for way in FITS if way != used)
    assert encoder.stamp.encoder_id == ("tiny-1.0" if fit is None else f"tiny-1.0+{fit}")
