"""The picture tower, against the features that the official class CLIP made of the same pixels.

`REELSEEK_FIXTURES` names the folder of recordings; its weights are random.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from clip_folders import as_bundle
from numpy.typing import NDArray
from recordings import fixtures_folder, read_arrays, read_case

torch = pytest.importorskip("torch", reason="the picture tower runs on torch")
pytest.importorskip("transformers", reason="the picture tower is loaded by transformers")

from indexer.encoders.clip import ClipImageEncoder  # noqa: E402
from indexer.encoders.clip_network import ClipNetwork  # noqa: E402
from storage.bundles import EncoderBundle  # noqa: E402

FOLDER = fixtures_folder("clip_towers")
CASE = read_case(FOLDER)
RECORDED = read_arrays(FOLDER / "io.npz")
DIM: int = CASE["config"]["embed_dim"]
SIDE: int = CASE["config"]["image_resolution"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> EncoderBundle:
    folder = tmp_path_factory.mktemp("models") / "recorded"
    shutil.copytree(FOLDER / "transformers", folder)
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        return as_bundle(folder, patch, DIM, SIDE)


@pytest.fixture(scope="module")
def network(bundle: EncoderBundle) -> ClipNetwork:
    return ClipNetwork(bundle, "float32")


def assert_as_recorded(ours: NDArray[np.float32], recorded: NDArray[np.float32]) -> None:
    assert ours.shape == recorded.shape
    tolerance = CASE["tolerance"]
    assert np.allclose(ours, recorded, rtol=tolerance["rtol"], atol=tolerance["atol"])


def recorded_pixels() -> torch.Tensor:
    return torch.from_numpy(RECORDED["image_input"])


def test_features_are_the_official_ones(network: ClipNetwork) -> None:
    assert_as_recorded(network.features(recorded_pixels()).numpy(), RECORDED["image_features"])


def test_every_layer_is_the_official_one(network: ClipNetwork) -> None:
    """Says where the first difference arises, should the features ever differ."""
    pictures = len(RECORDED["debug_vision_ln_pre"])
    with torch.inference_mode():
        found = network._model.vision_model(recorded_pixels()[:pictures], output_hidden_states=True)
    ours = {"debug_vision_ln_pre": found.hidden_states[0]}
    for block, state in enumerate(found.hidden_states[1:]):
        ours[f"debug_vision_block{block}"] = state
    ours["debug_vision_ln_post"] = found.pooler_output
    assert set(ours) == {name for name in RECORDED if name.startswith("debug_vision_")}
    for name, state in ours.items():
        assert_as_recorded(state.numpy(), RECORDED[name])


def test_vectors_have_the_unit_length_of_run_on_video(network: ClipNetwork) -> None:
    """Its F.normalize(eps=1e-5), which for features of this size is openai/CLIP's x / ‖x‖ too."""
    vectors = network.unit_length(network.features(recorded_pixels())).numpy()
    assert_as_recorded(vectors, RECORDED["image_features_l2_eps"])
    assert_as_recorded(vectors, RECORDED["image_features_l2"])


def test_the_encoder_makes_the_vectors_of_the_network(
    bundle: EncoderBundle, network: ClipNetwork
) -> None:
    pictures = np.random.default_rng(3).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    vectors = ClipImageEncoder(bundle, "float32", batch_size=2).encode(pictures)
    features = network.features(network.pixels(pictures)).numpy()
    assert_as_recorded(vectors, features / np.linalg.norm(features, axis=1, keepdims=True))
    assert vectors.dtype == np.float32
