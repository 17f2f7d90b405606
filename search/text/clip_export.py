"""From a Hugging Face folder of a picture-and-text model to the text tower that a search runs.

Writes an ONNX graph, its weights in a second file beside it (mapped into memory when loaded, so
that a search reads only what it needs), and a tokenizer.json where the model has one of its own.
Needs torch, transformers, onnx and onnxscript; what it writes needs none of them.

The sums are those of transformers (5.x), whose CLIP equals OpenAI's: see
tests/test_clip_text_recordings.py. Weights stay float32: half precision would make the file half as
large and loading it slower, since it has to be widened again on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.text.clip_tokens import WORD_TOKENS
from search.text.quiet import quiet_transformers
from search.text.tokenizer_files import write_tokenizer
from storage.errors import BundleError, not_installed

POOLED, TOKENS = "embedding", "tokens"
_OPSET = 18
_HERE_ONLY = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is downloaded, and no program that comes with a folder is run."""
_AGREE = 1e-4
"""How far a number of the graph may be from transformers'; measured: below 5e-6."""


@dataclass(frozen=True)
class TextFamily:
    """How the models of one architecture read a sentence."""

    max_tokens: int
    """What they were trained on; a model with fewer positions reads fewer."""
    languages: tuple[str, ...]
    reads_mask: bool = False
    """Padding is hidden from the network. CLIP is causal and needs no mask, SigLIP was trained on
    visible padding."""
    padded: bool = False
    """Every sentence is filled up to all positions."""
    word_tokens: int | None = None
    """How many tokens the moment heads that were trained on it see."""


FAMILIES = {
    "clip": TextFamily(77, ("en",), word_tokens=WORD_TOKENS),
    "siglip": TextFamily(64, ("en",), padded=True),
    "altclip": TextFamily(77, ("en", "zh"), reads_mask=True),
    "chinese_clip": TextFamily(52, ("zh",), reads_mask=True),
    "metaclip_2": TextFamily(77, ("mul",)),
}
"""By the `model_type` of config.json."""

_MULTILINGUAL_PIECES = 200_000
"""SigLIP 2 has SigLIP's architecture, and 256,000 pieces for many languages instead of 32,000."""


@dataclass(frozen=True)
class TextFacts:
    """What the text section of a manifest says about an exported tower."""

    file: str
    """Name of the graph; the weights are in `file` + ".data" beside it."""
    dim: int
    """Length of the vector shared with pictures."""
    width: int
    """Length of a token's vector."""
    max_tokens: int
    word_tokens: int | None
    pad_to: int | None
    tokenizer: str | None
    """Name of the tokenizer.json beside the graph; None for OpenAI's vocabulary."""
    languages: tuple[str, ...]
    """A guess from the architecture, ISO 639; "mul" for many."""

    def section(self) -> dict[str, Any]:
        """The "text" section of the bundle's manifest, see `storage.bundles.TextTower`."""
        section = {
            "file": self.file,
            "tokenizer": self.tokenizer,
            "max_tokens": self.max_tokens,
            "pooled": POOLED,
            "tokens": TOKENS,
            "width": self.width,
            "word_tokens": self.word_tokens,
            "pad_to": self.pad_to,
        }
        return {key: value for key, value in section.items() if value is not None}


def export_text_tower(folder: Path, file: Path) -> TextFacts:
    """Write the text tower of the model in `folder` to `file`, an .onnx in an existing folder.

    Raises:
        BundleError: a package is not installed, the folder holds no model of a known family, its
            weights are not complete, its tokenizer is missing, or the graph gives other numbers.
    """
    model = load_model(folder)
    family = FAMILIES[model.config.model_type]
    text = model.config.text_config
    max_tokens = min(family.max_tokens, _positions(model.config))
    pad_to = max_tokens if family.padded else None
    tokenizer = write_tokenizer(folder, file.parent, model.config, pad_to)
    dim, width = export_graph(model, file)
    many = family.padded and text.vocab_size > _MULTILINGUAL_PIECES
    return TextFacts(
        file=file.name,
        dim=dim,
        width=width,
        max_tokens=max_tokens,
        word_tokens=family.word_tokens,
        pad_to=pad_to,
        tokenizer=tokenizer,
        languages=("mul",) if many else family.languages,
    )


def load_model(folder: Path) -> Any:
    """The model of a Hugging Face folder, float32, ready to infer; nothing is downloaded.

    Raises:
        BundleError: as `export_text_tower`.
    """
    try:
        import onnxscript  # noqa: F401  (torch.onnx needs it)
        import torch
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise not_installed("import CLIP", str(error.name), "clip") from error
    with quiet_transformers():
        try:
            config = AutoConfig.from_pretrained(folder, **_HERE_ONLY)
        except (OSError, ValueError) as error:
            raise BundleError(
                f"{folder} is no Hugging Face model folder that can be read "
                f"({_first_line(error)}): it needs a config.json and a model.safetensors."
            ) from error
        if config.model_type not in FAMILIES:
            raise BundleError(
                f"{folder} holds a model of type {config.model_type!r}, which has no text tower "
                f"that reelseek knows: bring one of {', '.join(sorted(FAMILIES))}."
            )
        try:
            model, loading = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                attn_implementation="eager",  # a smaller graph than that of torch's fused one
                output_loading_info=True,
                **_HERE_ONLY,
            )
        except Exception as error:  # transformers passes on what its readers raise
            raise BundleError(
                f"The weights in {folder} cannot be loaded ({_first_line(error)}): it needs the "
                "model.safetensors of this model, whole."
            ) from error
    _refuse_gaps(folder, loading)
    return model.eval()


def export_graph(model: Any, file: Path) -> tuple[int, int]:
    """Write the text tower of a transformers model as an ONNX graph.

    Inputs: `input_ids` and `attention_mask`, int64 (n, t), any n and t. Outputs: `embedding`,
    float32 (n, dim), unit length, and `tokens`, float32 (n, t, width): the last hidden state,
    for CLIP after the final layer norm and before the projection.

    Returns:
        dim and width.

    Raises:
        BundleError: what was written gives other numbers than the model.
    """
    import torch

    tower = _tower(model)
    columns = min(7, _positions(model.config))
    ids = torch.ones((2, columns), dtype=torch.int64)
    both = {axis: torch.export.Dim.DYNAMIC for axis in (0, 1)}
    with quiet_transformers(), torch.inference_mode():
        program: Any = torch.onnx.export(
            tower,
            (ids, torch.ones_like(ids)),
            dynamo=True,
            verbose=False,
            input_names=["input_ids", "attention_mask"],
            dynamic_shapes=(both, both),
            opset_version=_OPSET,
        )
    _name_outputs(program.model)
    program.save(str(file), external_data=True)
    return _check(tower, file, model.config)


def _tower(model: Any) -> Any:
    import torch

    reads_mask = FAMILIES[model.config.model_type].reads_mask

    class Tower(torch.nn.Module):
        """Both outputs from one pass."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
            found = self.model.get_text_features(
                input_ids=input_ids, attention_mask=attention_mask if reads_mask else None
            )
            pooled = torch.nn.functional.normalize(found.pooler_output, dim=-1)
            return pooled, found.last_hidden_state

    return Tower().eval()


def _name_outputs(graph_model: Any) -> None:
    """Name the outputs; the exporter calls values inside by their operation, "embedding" too."""
    for node in graph_model.graph:
        for value in node.outputs:
            value.name = f"inner_{value.name}"
    for value, name in zip(graph_model.graph.outputs, (POOLED, TOKENS), strict=True):
        value.name = name


def _check(tower: Any, file: Path, config: Any) -> tuple[int, int]:
    """Compare the graph with the model on a few rows of random ids; dim and width of both."""
    import onnxruntime  # type: ignore[import-untyped]
    import torch

    vocabulary = int(config.text_config.vocab_size)
    end = getattr(config.text_config, "eos_token_id", None) or 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for rows, columns in ((1, 2), (3, min(9, _positions(config)))):
        ids = random.integers(0, vocabulary, (rows, columns))
        ids[:, -1] = min(end, vocabulary - 1)
        mask = np.ones_like(ids)
        mask[1:, -2:] = 0
        with torch.inference_mode():
            expected = tower(torch.from_numpy(ids), torch.from_numpy(mask))
        given = session.run([POOLED, TOKENS], {"input_ids": ids, "attention_mask": mask})
        for want, got in zip(expected, given, strict=True):
            scale = max(1.0, float(want.abs().max()))
            if not np.abs(want.numpy() - got).max() <= _AGREE * scale:
                raise BundleError(
                    f"The text network written to {file} gives other numbers than the model that "
                    "it was made from: report this with the versions of torch and transformers."
                )
    return int(given[0].shape[-1]), int(given[1].shape[-1])


def _positions(config: Any) -> int:
    """How many tokens the position table has room for."""
    text = config.text_config
    positions = int(text.max_position_embeddings)
    if config.model_type == "altclip":  # XLM-R counts positions from the padding id on
        positions -= 1 + (0 if text.pad_token_id is None else int(text.pad_token_id))
    return positions


def _refuse_gaps(folder: Path, loading: dict[str, Any]) -> None:
    """Without this transformers would fill what is missing with random numbers."""
    missing = sorted(loading.get("missing_keys", ()))
    wrong = sorted(str(key) for key in loading.get("mismatched_keys", ()))
    if missing or wrong:
        raise BundleError(
            f"The weights in {folder} do not fit its config.json: {len(missing)} tensors are "
            f"missing and {len(wrong)} have another shape, such as {(missing + wrong)[0]}: bring "
            "the whole folder as it was published."
        )


def _first_line(error: Exception) -> str:
    """transformers explains itself in paragraphs."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
