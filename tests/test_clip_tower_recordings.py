"""The picture tower, against the features that the official class CLIP made of the same pixels.

`REELSEEK_FIXTURES` names the folder of recordings; its weights are random.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_folders import as_bundle
from numpy.typing import NDArray
from recordings import Closeness, case_files, closeness, folders_or_skip, read_arrays, read_case

torch = pytest.importorskip("torch", reason="the picture tower runs on torch")
pytest.importorskip("transformers", reason="the picture tower is loaded by transformers")

from indexer.encoders.clip import ClipImageEncoder  # noqa: E402
from indexer.encoders.clip_network import ClipNetwork  # noqa: E402
from storage.bundles import EncoderBundle  # noqa: E402

CONFIGS = case_files("clip_towers", "*/config.json", arrays=["image_input", "image_features"])


@dataclass(frozen=True)
class Recorded:
    """A recorded tower: its case, its outputs, and a bundle with its weights."""

    case: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    bundle: EncoderBundle

    @property
    def pixels(self) -> Any:
        return torch.from_numpy(self.arrays["image_input"])

    @property
    def tolerance(self) -> Closeness:
        return closeness(self.case["tolerance"])


@pytest.fixture(
    scope="module", params=folders_or_skip(CONFIGS, "picture towers of transformers", "clip_towers")
)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    config: Path = request.param
    folder = tmp_path_factory.mktemp("models") / "recorded"
    shutil.copytree(config.parent, folder)
    folder.chmod(0o755)
    case = read_case(config.parents[1])
    sizes = case["config"]
    with pytest.MonkeyPatch.context() as patch:
        bundle = as_bundle(folder, patch, sizes["embed_dim"], sizes["image_resolution"])
    return Recorded(case, read_arrays(config.parents[1] / "io.npz"), bundle)


@pytest.fixture(scope="module")
def network(recorded: Recorded) -> ClipNetwork:
    return ClipNetwork(recorded.bundle, "float32")


def assert_close(
    ours: NDArray[np.float32], expected: NDArray[np.float32], tolerance: Closeness
) -> None:
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, **tolerance)


def test_features_are_the_official_ones(recorded: Recorded, network: ClipNetwork) -> None:
    ours = network.features(recorded.pixels).numpy()
    assert_close(ours, recorded.arrays["image_features"], recorded.tolerance)


def test_every_layer_is_the_official_one(recorded: Recorded, network: ClipNetwork) -> None:
    """Says where the first difference arises, should the features ever differ."""
    layers = {
        name: array
        for name, array in recorded.arrays.items()
        if re.fullmatch(r"debug_vision_(ln_pre|block\d+|ln_post)", name)
    }
    if not layers:
        pytest.skip("the outputs of this tower's layers are not recorded")
    pictures = len(layers["debug_vision_ln_pre"])
    with torch.inference_mode():
        found = network._model.vision_model(recorded.pixels[:pictures], output_hidden_states=True)
    ours = {"debug_vision_ln_pre": found.hidden_states[0]}
    for block, state in enumerate(found.hidden_states[1:]):
        ours[f"debug_vision_block{block}"] = state
    ours["debug_vision_ln_post"] = found.pooler_output
    assert set(ours) == set(layers)
    for name, state in ours.items():
        assert_close(state.numpy(), layers[name], recorded.tolerance)


def test_vectors_have_the_unit_length_of_run_on_video(
    recorded: Recorded, network: ClipNetwork
) -> None:
    """Its F.normalize(eps=1e-5), which for features of this size is openai/CLIP's x / ‖x‖ too."""
    vectors = network.unit_length(network.features(recorded.pixels)).numpy()
    assert_close(vectors, recorded.arrays["image_features_l2_eps"], recorded.tolerance)
    assert_close(vectors, recorded.arrays["image_features_l2"], recorded.tolerance)


def test_the_encoder_makes_the_vectors_of_the_network(
    recorded: Recorded, network: ClipNetwork
) -> None:
    side = recorded.case["config"]["image_resolution"]
    pictures = np.random.default_rng(3).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    vectors = ClipImageEncoder(recorded.bundle, "float32", batch_size=2).encode(pictures)
    features = network.features(network.pixels(pictures)).numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert_close(vectors, unit, recorded.tolerance)
    assert vectors.dtype == np.float32
