"""A weights file becomes a whole bundle under a name, or nothing at all."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bringing import (
    CLIP_DIM,
    SOUND_DIM,
    TEXT_WIDTH,
    head_tensors,
    save_thin_cnn14,
    save_tiny_clip,
    save_tiny_relative,
)
from hypothesis import given
from hypothesis import strategies as st
from recordings import (
    FIXTURES,
    case_called,
    case_files,
    closeness,
    containers,
    folders_or_skip,
    read_arrays,
    read_case,
)

import weights.importing
from search.moments.qd_detr_config import QDDETRConfig
from storage.bundles import load_encoder, load_head, load_sound
from storage.errors import BundleError
from storage.manifest import read_manifest, write_manifest
from weights.families import ENCODERS, EncoderFamily, encoder_family
from weights.importing import UNKNOWN_LICENCE, Imported, Wishes, import_weights
from weights.listing import Set, all_models, sets_of
from weights.models_folder import being_written, check_name, remove_bundle
from weights.moment_heads import HeadWishes
from weights.tensor_files import write_tensors

torch = pytest.importorskip(
    "torch", reason="importing a network takes torch: pip install '.[networks]'"
)
pytest.importorskip("transformers", reason="importing CLIP takes transformers")

from safetensors.numpy import load_file, save_file  # noqa: E402

HEAD = QDDETRConfig(
    video_dim=CLIP_DIM + 2,
    text_dim=TEXT_WIDTH,
    audio_dim=SOUND_DIM + 2,
    hidden=32,
    heads=4,
    feedforward=64,
    text_to_video_layers=1,
    encoder_layers=1,
    decoder_layers=1,
    queries=4,
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as they may be published: a CLIP in two wrappings, a head for it, and sound."""
    folder = tmp_path_factory.mktemp("sources")
    clip = save_tiny_clip(folder / "tiny-clip")
    from weights.clip_keys import to_openai

    official = to_openai(load_file(clip / "model.safetensors"))
    halves = {
        name: values.astype(np.float16) if values.ndim > 1 else values
        for name, values in official.items()
    }
    torch.save(
        {name: torch.from_numpy(values.copy()) for name, values in halves.items()},
        folder / "clip.pt",
    )
    save_file(head_tensors(HEAD), folder / "head.safetensors")
    save_thin_cnn14(folder / "cnn14.safetensors")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The models folder of this module, where importing is slow enough to be done once."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REELSEEK_MODELS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def imported(sources: Path, models: Path) -> dict[str, Imported]:
    """One model of each family, by its name."""
    head = HeadWishes(sound_dim=SOUND_DIM, heads=HEAD.heads)
    return {
        "clip": import_weights(sources / "tiny-clip", "clip"),
        "openai": import_weights(sources / "clip.pt", "clip", Wishes("openai")),
        "cnn14": import_weights(sources / "cnn14.safetensors", "cnn14"),
        "qd-detr": import_weights(sources / "head.safetensors", "qd-detr", Wishes(head=head)),
    }


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder for one test."""
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def cnn14(sources: Path) -> Path:
    """The weights file that is imported fastest."""
    return sources / "cnn14.safetensors"


def visible(folder: Path) -> list[str]:
    """What lies in a models folder, but for its lock."""
    return sorted(file.name for file in folder.glob("*") if file.name != ".lock")


def test_a_bundle_says_what_it_is_where_it_comes_from_and_on_which_terms(
    imported: dict[str, Imported],
) -> None:
    for name, model in imported.items():
        fields = model.manifest.fields
        assert fields["name"] == name
        assert fields["version"] == fields["origin"]["sha256"][:8]
        assert fields["licence"] == {"weights": UNKNOWN_LICENCE} and model.known is None
        model.manifest.verify()


def test_heads_and_sound_towers_keep_every_official_name_and_number(
    imported: dict[str, Imported], sources: Path
) -> None:
    for name, source in (("qd-detr", "head.safetensors"), ("cnn14", "cnn14.safetensors")):
        ours = load_file(imported[name].manifest.path / "model.safetensors")
        theirs = load_file(sources / source)
        assert ours.keys() == theirs.keys()
        for key, values in theirs.items():
            assert ours[key].dtype == values.dtype and np.array_equal(ours[key], values), key


def test_a_clip_of_openai_is_the_same_under_the_names_of_transformers(
    imported: dict[str, Imported], sources: Path
) -> None:
    from weights.clip_keys import to_openai

    written = load_file(imported["openai"].manifest.path / "model.safetensors")
    official = torch.load(sources / "clip.pt", weights_only=True)
    back = to_openai(written)
    assert back.keys() == official.keys()
    for key, values in official.items():
        assert np.array_equal(back[key], values.float().numpy()), key
    assert imported["openai"].manifest.size < imported["clip"].manifest.size  # half stays half
    assert "QuickGELU" in " ".join(imported["openai"].notes)


def test_an_encoder_can_be_loaded_and_run(imported: dict[str, Imported]) -> None:
    from indexer.encoders.choice import picture_encoder
    from search.text.choice import text_encoder

    for name in ("clip", "openai"):
        bundle = load_encoder(name)
        assert (bundle.dim, bundle.text.width, bundle.fit) == (CLIP_DIM, TEXT_WIDTH, "centre-crop")
        pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
        vectors = picture_encoder(bundle, "float32").encode(pictures)
        query = text_encoder(bundle).encode("a dog in snow")
        assert vectors.shape == (2, CLIP_DIM) and query.pooled.shape == (CLIP_DIM,)
        assert query.tokens.shape == (6, TEXT_WIDTH)


@pytest.mark.parametrize("family", ENCODERS, ids=lambda family: family.word)
def test_every_family_is_imported_with_its_words_and_its_way_with_pictures(
    family: EncoderFamily, own_models: Path, tmp_path: Path
) -> None:
    from indexer.encoders.choice import picture_encoder
    from search.text.choice import text_encoder

    source = save_tiny_relative(tmp_path / "source", family)
    manifest = import_weights(source, family.word).manifest
    assert manifest.title.startswith(family.title) and "ViT 1x32/8" in manifest.title
    assert set(manifest.checksums) == {
        "config.json",
        "model.safetensors",
        "text.onnx",
        "text.onnx.data",
        "tokenizer.json",
    }
    bundle = load_encoder(family.word)
    assert (bundle.fit, bundle.image.mean, bundle.image.std) == (
        family.fit,
        family.mean,
        family.std,
    )
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert picture_encoder(bundle, "float32").encode(pictures).shape == (2, bundle.dim)
    assert text_encoder(bundle).encode("a dog in snow").pooled.shape == (bundle.dim,)


@pytest.mark.parametrize(
    ("said", "fit", "mean"),
    [
        (
            {"do_center_crop": True, "crop_size": 16, "image_mean": [0.1, 0.2, 0.3]},
            "centre-crop",
            0.1,
        ),
        ({"do_center_crop": False, "size": {"height": 16, "width": 16}}, "squash", 0.5),
        ({"size": {"height": 16, "width": 16}, "image_mean": "odd"}, "squash", 0.5),
        ({"do_normalize": False}, "squash", 0.0),
        ({"image_mean": [0.1, 0.2], "image_std": [0, 0, 0]}, "squash", 0.5),
    ],
    ids=str,
)
def test_a_folder_says_how_its_pictures_are_prepared(
    said: dict[str, Any], fit: str, mean: float, tmp_path: Path
) -> None:
    from weights.encoders import picture_section

    siglip = encoder_family("siglip")
    assert siglip is not None
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    section = picture_section(siglip, {"vision_config": {"image_size": 16}}, tmp_path)
    assert (section["fit"], section["mean"][0], section["width"]) == (fit, mean, 16)
    assert min(section["std"]) > 0


def test_half_precision_costs_no_bit_of_the_vectors(
    imported: dict[str, Imported], sources: Path, own_models: Path
) -> None:
    """The archive's halves, and the same numbers as float32, give the same vectors."""
    from indexer.encoders.choice import picture_encoder

    shutil.copytree(imported["openai"].manifest.path, own_models / "openai")
    halves = picture_encoder(load_encoder("openai"), "float32")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    given = halves.encode(pictures)
    weights_file = own_models / "openai" / "model.safetensors"
    whole = {name: values.astype(np.float32) for name, values in load_file(weights_file).items()}
    save_file(whole, weights_file, metadata={"format": "pt"})
    write_manifest(weights_file.parent, imported["openai"].manifest.fields)
    assert (
        weights_file.stat().st_size
        > imported["openai"].manifest.path.joinpath("model.safetensors").stat().st_size
    )
    again = picture_encoder(load_encoder("openai"), "float32")
    assert np.array_equal(given, again.encode(pictures))


def test_a_head_is_described_by_what_it_reads(imported: dict[str, Imported]) -> None:
    head = load_head("qd-detr")
    assert (head.picture_dim, head.sound_dim, head.text_dim) == (CLIP_DIM, SOUND_DIM, TEXT_WIDTH)
    assert (head.clip_s, head.tower, head.missing_features) == (2.0, None, None)
    assert head.manifest.fields["head"]["sizes"] == asdict(HEAD)


def test_the_graph_of_a_head_answers_without_torch(imported: dict[str, Imported]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(load_head("qd-detr").file))
    inputs = {
        "src_txt": np.ones((1, 3, TEXT_WIDTH), np.float32),
        "src_txt_mask": np.ones((1, 3), np.float32),
        "src_vid": np.ones((1, 9, HEAD.clip_dim), np.float32),
        "src_vid_mask": np.ones((1, 9), np.float32),
    }
    logits, spans, saliency = session.run(None, inputs)
    assert (logits.shape, spans.shape, saliency.shape) == ((1, 4, 2), (1, 4, 2), (1, 9))
    assert np.isfinite(logits).all() and ((spans > 0) & (spans < 1)).all()


def test_what_fits_together_is_found(imported: dict[str, Imported]) -> None:
    assert set(sets_of(all_models())) == {
        Set("lite", "lite-moments", None),
        Set("clip", "qd-detr", "cnn14"),
        Set("openai", "qd-detr", "cnn14"),
    }


def test_a_sound_tower_is_described_by_what_it_gives(imported: dict[str, Imported]) -> None:
    sound = load_sound("cnn14")
    assert (sound.dim, sound.tags) == (SOUND_DIM, 527)


@pytest.mark.parametrize(
    "source",
    folders_or_skip(
        case_files("cnn14", "*.safetensors", fields=["widths"]), "Cnn14 weights", "cnn14"
    ),
)
def test_a_recorded_sound_tower_is_described_and_kept(source: Path, own_models: Path) -> None:
    manifest = import_weights(source, "cnn14").manifest
    sound, case = load_sound("cnn14"), read_case(source.parent)
    assert (sound.dim, sound.tags) == (case["embedding"], case["config"]["classes_num"])
    ours, theirs = load_file(manifest.path / "model.safetensors"), load_file(source)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], values) for key, values in theirs.items())


@pytest.mark.parametrize(
    "source", folders_or_skip(case_files("qddetr", "*.ckpt"), "training checkpoints", "qddetr")
)
def test_official_checkpoints_are_read_as_they_are_saved(source: Path, own_models: Path) -> None:
    """Optimizer, scheduler and a Namespace beside the weights: the layout of QD-DETR's training."""
    case = read_case(source.parent)
    head = import_weights(source, "qd-detr")
    facts = head.manifest.fields["head"]
    assert facts["picture_dim"] == case["config"]["v_feat_dim"] - 2
    assert facts["sizes"]["heads"] == case["config"]["nheads"]
    assert head.manifest.fields["origin"]["git_blob"] != ""

    import onnxruntime

    same = case_called("qddetr", case["same_network_as"])
    recorded = read_arrays(same / "io.npz")
    session = onnxruntime.InferenceSession(str(load_head("qd-detr").file))
    names = [given.name for given in session.get_inputs()]
    inputs = {name: recorded[f"in_{name}"].astype(np.float32) for name in names}
    logits = session.run(["pred_logits"], inputs)[0]
    np.testing.assert_allclose(
        logits[0], recorded["row0_pred_logits"][0], **closeness(read_case(same)["tolerance"])
    )


@pytest.mark.parametrize(
    "file",
    folders_or_skip(case_files("clip_towers", "*.pt"), "TorchScript archives", "clip_towers"),
)
def test_a_recorded_archive_of_torchscript_is_recognised_and_its_vocabulary_missed(
    file: Path, own_models: Path
) -> None:
    pieces = read_case(file.parent)["config"]["vocab_size"]
    with pytest.raises(BundleError, match=rf"CLIP .* vocabulary of its own \({pieces} pieces"):
        import_weights(file, "clip")
    assert visible(own_models) == []


def test_files_in_every_container_are_recognised_and_hostile_ones_refused(
    own_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All good files there hold a CLIP too small to have words: that is how far they get."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    recorded = containers()
    if not recorded:
        pytest.skip(f"no recordings of weights files in {FIXTURES / 'containers'}")
    for container in recorded.values():
        with pytest.raises(BundleError) as refusal:
            import_weights(container.path, "clip")
        sentence = str(refusal.value)
        assert sentence.count("\n") == 0 and len(sentence) < 500
        assert ("vocabulary of its own" in sentence) == container.is_good, sentence
    assert not list(tmp_path.rglob("*PWNED*")) and visible(own_models) == []
    assert list(work.iterdir()) == []


def test_a_config_that_asks_for_code_or_kernels_gets_neither(
    sources: Path, own_models: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(sources / "tiny-clip", tmp_path / "asking")
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "evil.Model"}, "attn_implementation": "evil/kernel"}
    config["vision_config"]["_attn_implementation"] = "evil/kernel"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('executed')")
    bundle = import_weights(folder, "clip").manifest
    assert "evil" not in (bundle.path / "config.json").read_text()
    assert set(bundle.checksums) == {
        "config.json",
        "model.safetensors",
        "text.onnx",
        "text.onnx.data",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers"),
        ({"text_config": {"vocab_size": 10**12}}, "vocab_size"),
        ({"projection_dim": -1}, "projection_dim"),
        ({"text_config": {"num_hidden_layers": 2}}, "missing text_model.encoder.layers.1"),
        ({"vision_config": {"hidden_size": 128}}, "misshapen"),
        ({"vision_config": "what?"}, "config.json"),
        ({"text_config": {"hidden_size": "big"}}, "config.json"),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_the_weights_is_refused(
    change: dict[str, Any], words: str, sources: Path, own_models: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(sources / "tiny-clip", tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    for name, value in change.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BundleError, match=words):
        import_weights(folder, "clip")
    assert visible(own_models) == []


def test_a_surplus_tensor_in_a_folder_is_named(
    sources: Path, own_models: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(sources / "tiny-clip", tmp_path / "more")
    tensors = load_file(folder / "model.safetensors") | {"text_model.extra": np.ones(3, np.float32)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BundleError, match=r"surplus text_model\.extra"):
        import_weights(folder, "clip")
    assert visible(own_models) == []


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no number \(in 'layer'\)"):
        write_tensors({"layer": np.array([1.0, np.nan], np.float32)}, tmp_path / "weights")


def test_a_name_that_is_taken_is_kept_unless_replacing_is_asked_for(
    own_models: Path, cnn14: Path
) -> None:
    import_weights(cnn14, "cnn14", Wishes(licence="mine"))
    with pytest.raises(BundleError, match="--replace"):
        import_weights(cnn14, "cnn14")
    assert read_manifest(own_models / "cnn14").fields["licence"] == {"weights": "mine"}
    import_weights(cnn14, "cnn14", Wishes(licence="yours", replace=True))
    assert read_manifest(own_models / "cnn14").fields["licence"] == {"weights": "yours"}
    assert visible(own_models) == ["cnn14"]


def test_an_import_that_is_interrupted_leaves_nothing(
    own_models: Path, cnn14: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_weights(cnn14, "cnn14")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights.importing, "write_manifest", interrupted)
    for wishes in (Wishes("other"), Wishes(replace=True)):
        with pytest.raises(KeyboardInterrupt):
            import_weights(cnn14, "cnn14", wishes)
    assert visible(own_models) == ["cnn14"]
    read_manifest(own_models / "cnn14").verify()


def test_what_a_killed_import_left_is_cleared_away_by_the_next_one(
    own_models: Path, cnn14: Path
) -> None:
    import_weights(cnn14, "cnn14")
    # Killed between the two renames of --replace, with a half-written bundle beside it.
    (own_models / ".work" / "new").mkdir(parents=True)
    (own_models / ".work" / "new" / "model.safetensors").write_bytes(b"half")
    (own_models / "cnn14").rename(own_models / ".work" / "replaced-cnn14")
    assert "cnn14" not in [model.name for model in all_models()]
    import_weights(cnn14, "cnn14", Wishes("second"))
    assert visible(own_models) == ["cnn14", "second"]
    read_manifest(own_models / "cnn14").verify()


def test_a_full_disk_is_said_in_a_sentence(
    own_models: Path, cnn14: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights.importing, "write_manifest", full)
    with pytest.raises(BundleError, match="full"):
        import_weights(cnn14, "cnn14")
    assert visible(own_models) == []


def test_a_models_folder_that_is_a_file_is_said_in_a_sentence(
    tmp_path: Path, cnn14: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").write_text("no folder")
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path / "models"))
    with pytest.raises(BundleError, match="REELSEEK_MODELS"):
        import_weights(cnn14, "cnn14")


@given(name=st.one_of(st.text(max_size=80), st.from_regex(r"[a-z0-9./\\-]{1,70}", fullmatch=True)))
def test_no_name_leads_out_of_the_models_folder(name: str) -> None:
    try:
        check_name(name)
    except BundleError:
        return
    assert Path(name).name == name and not name.startswith(".") and len(name) <= 64
    assert name not in ("lite", "auto", "none", "watershed")


def test_only_brought_models_can_be_removed(own_models: Path, cnn14: Path) -> None:
    import_weights(cnn14, "cnn14")
    with pytest.raises(BundleError, match="stays"):
        remove_bundle("lite")
    for name in ("../cnn14", ".work", "nobody", ""):
        with pytest.raises(BundleError, match="no model named"):
            remove_bundle(name)
    assert remove_bundle("cnn14") > 0
    assert visible(own_models) == []


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    sources: Path, own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import weights.extras

    monkeypatch.setattr(
        weights.extras, "find_spec", lambda name: None if name == "onnxscript" else 1
    )
    with pytest.raises(BundleError, match=r"onnxscript: .*pip install '\.\[clip\]'"):
        import_weights(sources / "tiny-clip", "clip")


def test_two_imports_wait_for_each_other(own_models: Path) -> None:
    """The second would otherwise clear away what the first is writing."""
    import threading

    order: list[str] = []
    inside = threading.Event()

    def first() -> None:
        with being_written() as folder:
            inside.set()
            (folder / "file").write_bytes(b"whole")
            threading.Event().wait(0.3)
            order.append((folder / "file").read_text())

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with being_written() as folder:
        order.append("second")
        assert list(folder.iterdir()) == []
    thread.join()
    assert order == ["whole", "second"]


def test_importing_asks_no_network(
    sources: Path, own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    import_weights(sources / "tiny-clip", "clip")
