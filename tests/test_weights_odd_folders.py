"""Hugging Face folders whose config.json asks for too much, or for something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bringing import save_tiny_clip

from storage.bundles import load_encoder
from storage.errors import BundleError
from weights.importing import Wishes, import_weights

torch = pytest.importorskip("torch", reason="importing CLIP takes torch: `make networks`")
pytest.importorskip("transformers", reason="importing CLIP takes transformers")

from indexer.encoders.clip import ClipImageEncoder  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path / "models"))
    return save_tiny_clip(tmp_path / "tiny")


def change(folder: Path, part: str | None, **fields: Any) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    (config if part is None else config[part]).update(fields)
    file.write_text(json.dumps(config))


def vectors(name: str) -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    return ClipImageEncoder(load_encoder(name), "float32").encode(pictures)


def test_a_table_of_a_billion_labels_is_not_made(folder: Path) -> None:
    change(folder, None, num_labels=10**9)
    change(folder, "vision_config", num_labels=10**9)
    import_weights(folder, "clip")
    assert "num_labels" not in (load_encoder("clip").manifest.path / "config.json").read_text()


def test_tensors_are_not_rounded_to_what_the_configuration_says(folder: Path) -> None:
    import_weights(folder, "clip")
    plain = vectors("clip")
    change(folder, None, dtype="bfloat16", torch_dtype="bfloat16")
    change(folder, "vision_config", dtype="bfloat16")
    import_weights(folder, "clip", Wishes("rounded"))
    np.testing.assert_array_equal(vectors("rounded"), plain)


@pytest.mark.parametrize(
    "fields", [{"patch_size": [32, 32]}, {"hidden_size": "64"}, {"layer_norm_eps": float("nan")}]
)
def test_sizes_that_are_none_are_refused_in_a_sentence(
    folder: Path, fields: dict[str, Any]
) -> None:
    change(folder, "vision_config", **fields)
    with pytest.raises(BundleError, match=f"'{next(iter(fields))}' is "):
        import_weights(folder, "clip")
    assert not list((folder.parent / "models").glob("clip*"))
