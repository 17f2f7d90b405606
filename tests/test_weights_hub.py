"""An encoder can be named by its folder, or by its name on Hugging Face's hub."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from bringing import head_tensors, save_tiny_clip

import weights.hub
from search.moments.qd_detr_config import QDDETRConfig
from storage.errors import BundleError
from storage.manifest import write_manifest
from weights.hub import bring_encoder
from weights.models_folder import remove_bundle
from weights.tensor_files import write_tensors

pytest.importorskip("torch", reason="importing a network takes torch: pip install '.[networks]'")
pytest.importorskip("transformers", reason="importing CLIP takes transformers")
constants = pytest.importorskip("huggingface_hub.constants", reason="comes with transformers")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with a name that no bundle could have."""
    return save_tiny_clip(tmp_path_factory.mktemp("hf") / "Tiny CLIP (v2)")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, on a machine without a network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def install(models: Path, name: str, sha256: str) -> None:
    """A bundle of an encoder made of weights with this checksum, as far as looking it up goes."""
    (models / name).mkdir(parents=True)
    facts = {"name": name, "version": sha256[:8], "kind": "encoder", "title": "another"}
    write_manifest(models / name, {**facts, "origin": {"sha256": sha256}})


def put_in_cache(cache: Path, folder: Path, repository: str) -> Path:
    """Lay a folder in the hub's cache as the hub does: links in snapshots to files in blobs."""
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("c" * 40)
    for number, file in enumerate(folder.iterdir()):
        shutil.copy(file, home / "blobs" / f"b{number}")
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", f"b{number}"))
    return snapshot


def test_a_folder_is_imported_once_and_then_found_without_reading_it(
    tiny: Path, models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "reelseek.weights"):
        assert bring_encoder(str(tiny)) == "tiny-clip-v2"
    assert f"Imported {tiny} as 'tiny-clip-v2'" in caplog.text

    def read_again(_: Path) -> None:
        raise AssertionError("the weights were read again")

    monkeypatch.setattr(weights.hub, "read_checkpoint", read_again)
    assert bring_encoder(str(tiny)) == "tiny-clip-v2"
    remove_bundle("tiny-clip-v2")
    with pytest.raises(AssertionError, match="read again"):
        bring_encoder(str(tiny))


def test_another_copy_of_the_same_weights_is_known_by_its_checksum(
    tiny: Path, models: Path, tmp_path: Path
) -> None:
    name = bring_encoder(str(tiny))
    copy = shutil.copytree(tiny, tmp_path / "somewhere-else")
    assert bring_encoder(str(copy)) == name


def test_a_name_that_another_model_has_gets_the_checksum_added(tiny: Path, models: Path) -> None:
    install(models, "tiny-clip-v2", "f" * 64)
    name = bring_encoder(str(tiny))
    assert name.startswith("tiny-clip-v2-") and len(name) == len("tiny-clip-v2-") + 8
    assert (models / name / "model.safetensors").exists()


def test_a_name_on_the_hub_is_answered_from_the_cache_without_a_network(
    tiny: Path, models: Path, cache: Path
) -> None:
    put_in_cache(cache, tiny, "someone/Small-CLIP")
    assert bring_encoder("someone/Small-CLIP") == "small-clip"


def test_a_link_that_leads_out_of_the_cache_is_refused(
    tiny: Path, models: Path, cache: Path, tmp_path: Path
) -> None:
    snapshot = put_in_cache(cache, tiny, "someone/else")
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"do_center_crop": True}))
    (snapshot / "preprocessor_config.json").symlink_to(secret)
    with pytest.raises(BundleError, match="leads out of it"):
        bring_encoder("someone/else")


def test_without_a_network_it_says_what_to_fetch_and_how_to_import_it(
    models: Path, cache: Path
) -> None:
    with pytest.raises(BundleError) as error:
        bring_encoder("openai/clip-vit-base-patch32")
    assert "https://huggingface.co/openai/clip-vit-base-patch32" in str(error.value)
    assert "reelseek models import" in str(error.value) and "\n" not in str(error.value)


def test_a_cache_without_weights_is_not_taken_for_the_model(
    tiny: Path, models: Path, cache: Path
) -> None:
    snapshot = put_in_cache(cache, tiny, "someone/half")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(BundleError, match="could not be fetched"):
        bring_encoder("someone/half")


@pytest.mark.parametrize("source", ["no/such/folder", "../elsewhere/x", "a//b"])
def test_what_is_neither_a_folder_nor_a_name_is_refused(
    source: str, models: Path, cache: Path
) -> None:
    with pytest.raises(BundleError):
        bring_encoder(source)


def test_a_folder_that_holds_no_encoder_says_what_it_holds(models: Path, tmp_path: Path) -> None:
    config = QDDETRConfig(video_dim=514, text_dim=512, hidden=8, heads=1, feedforward=8)
    (tmp_path / "head").mkdir()
    write_tensors(head_tensors(config), tmp_path / "head" / "model.safetensors")
    with pytest.raises(BundleError, match="--as qd-detr"):
        bring_encoder(str(tmp_path / "head"))
