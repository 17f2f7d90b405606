"""Text towers of CLIP and its relatives: exported from a folder, then used without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from search.text.clip import ClipTextEncoder
from search.text.clip_export import TextFacts, export_text_tower
from search.text.clip_tokens import CONTEXT, VOCABULARY_SIZE, ClipTokenizer, vocabulary
from storage.bundles import EncoderBundle, load_encoder
from storage.errors import BundleError, QueryError
from storage.manifest import write_manifest

torch = pytest.importorskip("torch", reason="exporting a tower needs torch (.[clip])")
transformers = pytest.importorskip("transformers", reason="needs transformers (.[clip])")
pytest.importorskip("onnxscript", reason="exporting a tower needs onnxscript (.[clip])")

VISION = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 40,
}
WORDS = ["a", "dog", "in", "snow", "the", "man", ",", "2", "men", "walks", "'", "s"]


def save(folder: Path, name: str, text: dict[str, Any], **whole: Any) -> Any:
    """A random model of an architecture, saved as transformers saves it."""
    torch.manual_seed(0)
    config_class = getattr(transformers, f"{name}Config")
    config = config_class(text_config={**TEXT, **text}, vision_config=VISION, **whole)
    model = getattr(transformers, f"{name}Model")(config).eval()
    model.save_pretrained(folder)
    return model


def save_clip(folder: Path, **text: Any) -> Any:
    return save(folder, "CLIP", {"vocab_size": VOCABULARY_SIZE, **text}, projection_dim=20)


def save_words(folder: Path, start: str | None, end: str | None, **settings: Any) -> None:
    """A tokenizer that knows a dozen words, with marks around a sentence."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = [mark for mark in ("[PAD]", "[UNK]", start, end) if mark]
    pieces = {piece: number for number, piece in enumerate([*marks, *WORDS])}
    rules = Tokenizer(models.WordLevel(pieces, unk_token="[UNK]"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.add_special_tokens(marks)
    template = " ".join(part for part in (start, "$A", end) if part)
    rules.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(mark, pieces[mark]) for mark in marks[2:]]
    )
    rules.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def bundle(
    source: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[EncoderBundle, TextFacts]:
    """The bundle that an import makes of a folder, as far as its text side goes."""
    place = models / "brought"
    place.mkdir(parents=True)
    facts = export_text_tower(source, place / "text.onnx")
    for name in ("model.safetensors", "config.json"):
        shutil.copy(source / name, place)
    fields = {
        "name": "brought",
        "version": "1",
        "kind": "encoder",
        "title": "tiny",
        "dim": facts.dim,
        "languages": facts.languages,
        "image": {
            "file": "model.safetensors",
            "network": "transformers",
            "width": 16,
            "height": 16,
            "fit": "squash",
            "channels": "rgb",
        },
        "text": facts.section(),
    }
    write_manifest(place, fields)
    monkeypatch.setenv("REELSEEK_MODELS", str(models))
    return load_encoder("brought"), facts


def official(model: Any, ids: list[int], **inputs: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """What transformers gives for one sentence: unit vector and token rows."""
    with torch.inference_mode():
        found = model.get_text_features(input_ids=torch.tensor([ids]), **inputs)
    pooled = found.pooler_output[0].numpy()
    return pooled / np.linalg.norm(pooled), found.last_hidden_state[0].numpy()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, EncoderBundle, TextFacts]:
    """A random CLIP with OpenAI's vocabulary: the model and the bundle made of it."""
    source = tmp_path_factory.mktemp("clip")
    model = save_clip(source)
    with pytest.MonkeyPatch.context() as monkeypatch:
        made, facts = bundle(source, tmp_path_factory.mktemp("models"), monkeypatch)
    return model, made, facts


def test_a_clip_of_openai_needs_no_tokenizer_file(
    clip: tuple[Any, EncoderBundle, TextFacts],
) -> None:
    _, made, facts = clip
    assert facts == TextFacts("text.onnx", 20, 24, 77, 32, None, None, ("en",))
    assert made.text.tokenizer is None
    assert made.text.word_tokens == 32


@pytest.mark.parametrize(
    "sentence",
    [
        "a dog in snow",
        "She shouts &quot;goal!&quot;, then runs.",
        "골키퍼가 페널티킥을 막는 장면",
        "Привет мир",
        "the goalkeeper dives to the left and saves a penalty in front of the north stand while "
        "it rains, and a man with a red flag walks slowly along the line behind the goal",
    ],
)
def test_a_sentence_has_the_vectors_that_transformers_gives(
    clip: tuple[Any, EncoderBundle, TextFacts], sentence: str
) -> None:
    model, made, _ = clip
    query = ClipTextEncoder(made).encode(sentence)
    tokenizer = ClipTokenizer()
    pooled, _ = official(model, tokenizer.for_pooled(sentence))
    _, rows = official(model, tokenizer.for_words(sentence))
    np.testing.assert_allclose(query.pooled, pooled, atol=1e-5)
    np.testing.assert_allclose(query.tokens, rows, atol=1e-4)
    assert query.pooled.dtype == query.tokens.dtype == np.float32


def test_empty_and_endless_sentences_are_refused(
    clip: tuple[Any, EncoderBundle, TextFacts],
) -> None:
    encoder = ClipTextEncoder(clip[1])
    for nothing in ("", " \n\t", "\x00"):
        with pytest.raises(QueryError, match="empty"):
            encoder.encode(nothing)
    assert encoder.encode("dog " * (CONTEXT - 2)).tokens.shape == (32, 24)
    with pytest.raises(QueryError, match=r"one or two short sentences"):
        encoder.encode("dog " * (CONTEXT - 1))


def test_the_encoder_carries_the_stamp_of_its_bundle(
    clip: tuple[Any, EncoderBundle, TextFacts],
) -> None:
    made = clip[1]
    assert ClipTextEncoder(made).stamp == made.stamp


def test_a_search_loads_neither_torch_nor_transformers(
    clip: tuple[Any, EncoderBundle, TextFacts],
) -> None:
    made = clip[1]
    program = (
        "import sys; from search.text.clip import ClipTextEncoder;"
        "from storage.bundles import load_encoder;"
        "ClipTextEncoder(load_encoder('brought')).encode('a dog');"
        "heavy = {'torch', 'transformers', 'onnx'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or None)"
    )
    environment = {"REELSEEK_MODELS": str(made.manifest.path.parent), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_broken_graph_is_one_sentence(
    tmp_path: Path, clip: tuple[Any, EncoderBundle, TextFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clip[1].manifest.path, tmp_path / "brought")
    graph = tmp_path / "brought" / "text.onnx"
    graph.write_bytes(b"x" * graph.stat().st_size)
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path))
    with pytest.raises(BundleError, match="'brought' cannot be loaded"):
        ClipTextEncoder(load_encoder("brought"))


def test_openai_s_vocabulary_in_the_folder_s_own_files_is_recognised(
    tmp_path: Path, clip: tuple[Any, EncoderBundle, TextFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers' tokenizer leaves out ftfy; OpenAI's own rules are kept."""
    from search.text.clip_tokens import _merge_lines

    save_clip(tmp_path / "source")
    merges = [tuple(line.split(" ")) for line in _merge_lines()]
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary(), merges=merges)
    tokenizer.save_pretrained(tmp_path / "source")
    assert (tmp_path / "source" / "tokenizer.json").exists()
    made, facts = bundle(tmp_path / "source", tmp_path / "models", monkeypatch)
    assert facts.tokenizer is None
    assert made.stamp.fingerprint == clip[1].stamp.fingerprint


def test_a_clip_with_words_of_its_own_brings_its_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    model = save(source, "CLIP", {"eos_token_id": 3}, projection_dim=20)
    save_words(source, "[CLS]", "[SEP]")
    made, facts = bundle(source, tmp_path / "models", monkeypatch)
    assert facts.tokenizer == "tokenizer.json"
    query = ClipTextEncoder(made).encode("a dog in snow")
    pooled, rows = official(model, [2, 4, 5, 6, 7, 3])
    np.testing.assert_allclose(query.pooled, pooled, atol=1e-5)
    np.testing.assert_allclose(query.tokens, rows, atol=1e-4)

    long = ClipTextEncoder(made).encode("dog " * 40)
    _, rows = official(model, [2, *[5] * 30, 3])
    np.testing.assert_allclose(long.tokens, rows, atol=1e-4)


def test_siglip_cleans_and_fills_up_every_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lower case, no punctuation, always 64 tokens: else SigLIP gives another vector."""
    source = tmp_path / "source"
    model = save(source, "Siglip", {"max_position_embeddings": 64, "projection_size": 32})
    save_words(source, None, "[SEP]", tokenizer_class="SiglipTokenizer")
    made, facts = bundle(source, tmp_path / "models", monkeypatch)
    assert (facts.pad_to, facts.word_tokens, facts.languages) == (64, None, ("en",))
    encoder = ClipTextEncoder(made)
    query = encoder.encode("A Dog, in: SNOW!")
    ids = [3, 4, 5, 6, 2]
    pooled, rows = official(model, ids + [0] * 59)
    np.testing.assert_allclose(query.pooled, pooled, atol=1e-5)
    np.testing.assert_allclose(query.tokens, rows[: len(ids)], atol=1e-4)
    with pytest.raises(QueryError, match="64 that can be read"):
        encoder.encode("dog " * 64)
    with pytest.raises(QueryError, match="empty"):
        encoder.encode("?!")


def test_siglip_2_keeps_punctuation_and_its_own_side_of_filling_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    text = {"max_position_embeddings": 64, "projection_size": 32, "vocab_size": 256_000}
    model = save(source, "Siglip", text)
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", "a", "d", ",", "g", "o"]
    tokenizer = transformers.Siglip2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], padding_side="left"
    )
    tokenizer.save_pretrained(source)
    expected = tokenizer("A DOG, a", padding="max_length", max_length=64)
    made, facts = bundle(source, tmp_path / "models", monkeypatch)
    assert facts.languages == made.languages == ("mul",)
    query = ClipTextEncoder(made).encode("A DOG, a")
    own = int(np.sum(expected.attention_mask))
    assert 8 in expected.input_ids  # the comma
    assert expected.input_ids[0] == 0
    pooled, rows = official(model, expected.input_ids)
    np.testing.assert_allclose(query.pooled, pooled, atol=1e-5)
    np.testing.assert_allclose(query.tokens, rows[-own:], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "text", "whole"),
    [
        ("AltCLIP", {"project_dim": 32, "pad_token_id": 0}, {"projection_dim": 20}),
        ("ChineseCLIP", {"pad_token_id": 0}, {"projection_dim": 20}),
        ("MetaClip2", {"eos_token_id": 3}, {"projection_dim": 20}),
    ],
)
def test_relatives_give_what_transformers_gives(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: dict[str, Any],
    whole: dict[str, Any],
) -> None:
    source = tmp_path / "source"
    model = save(source, name, text, **whole)
    save_words(source, "[CLS]", "[SEP]")
    made, facts = bundle(source, tmp_path / "models", monkeypatch)
    query = ClipTextEncoder(made).encode("a dog in snow")
    pooled, rows = official(model, [2, 4, 5, 6, 7, 3])
    np.testing.assert_allclose(query.pooled, pooled, atol=1e-5)
    np.testing.assert_allclose(query.tokens, rows, atol=1e-4)
    assert facts.width == rows.shape[1]
    assert facts.dim == len(pooled)


def test_bytes_that_are_no_characters_do_no_harm(
    tmp_path: Path, clip: tuple[Any, EncoderBundle, TextFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    ClipTextEncoder(clip[1]).encode("a \udcff dog")
    source = tmp_path / "source"
    save(source, "CLIP", {"eos_token_id": 3}, projection_dim=20)
    save_words(source, "[CLS]", "[SEP]")
    made, _ = bundle(source, tmp_path / "models", monkeypatch)
    assert len(ClipTextEncoder(made).encode("a \udcff dog").tokens) == 5


def test_a_tower_of_few_positions_reads_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    model = save_clip(source, max_position_embeddings=5)
    made, facts = bundle(source, tmp_path / "models", monkeypatch)
    assert facts.max_tokens == 5
    encoder = ClipTextEncoder(made)
    query = encoder.encode("a dog runs")
    pooled, rows = official(model, ClipTokenizer().for_pooled("a dog runs"))
    np.testing.assert_allclose(query.pooled, pooled, atol=1e-5)
    np.testing.assert_allclose(query.tokens, rows, atol=1e-4)
    with pytest.raises(QueryError, match="more than the 3 that"):
        encoder.encode("a dog runs fast")


def refusal(source: Path, target: Path) -> str:
    with pytest.raises(BundleError) as caught:
        export_text_tower(source, target / "text.onnx")
    return str(caught.value)


def test_an_unknown_vocabulary_without_its_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "CLIP", {}, projection_dim=20)
    assert "no tokenizer.json" in refusal(tmp_path, tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "CLIP", {"vocab_size": 6, "eos_token_id": 3}, projection_dim=20)
    save_words(tmp_path, "[CLS]", "[SEP]")
    assert "more pieces than the 6" in refusal(tmp_path, tmp_path)
    save_words(tmp_path, None, None)
    save(tmp_path, "CLIP", {"eos_token_id": 39}, projection_dim=20)
    assert "end mark (39)" in refusal(tmp_path, tmp_path)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "CLIP", {}, projection_dim=20)
    (tmp_path / "tokenizer.json").write_text("{")
    assert "tokenizer" in refusal(tmp_path, tmp_path)


def test_other_models_and_other_folders_are_refused(tmp_path: Path) -> None:
    assert "no Hugging Face model folder" in refusal(tmp_path, tmp_path)
    transformers.BertConfig(hidden_size=8, num_attention_heads=1).save_pretrained(tmp_path)
    assert "'bert'" in refusal(tmp_path, tmp_path)


def test_weights_with_gaps_are_refused_not_made_up(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    save_clip(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["text_projection.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    assert "text_projection.weight" in refusal(tmp_path, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    assert "cannot be loaded" in refusal(tmp_path, tmp_path)


def test_a_folder_s_own_programs_and_pickles_are_not_run(tmp_path: Path) -> None:
    model = save_clip(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert "model.safetensors" in refusal(tmp_path, tmp_path)

    config = {"model_type": "stranger", "auto_map": {"AutoConfig": "stranger.Stranger"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "stranger.py").write_text("raise SystemExit('was run')")
    assert "no Hugging Face model folder that can be read" in refusal(tmp_path, tmp_path)
