"""One tokenizer.json that does all that a model's own tokenizer does, for `tokenizers` alone.

Rules that transformers keeps in Python (SigLIP's cleaning, on which side is padded, and with what)
are written into the file, so that a search needs no transformers.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.text.clip_tokens import VOCABULARY_SIZE, vocabulary
from storage.errors import BundleError

TOKENIZER = "tokenizer.json"
_FILES = (TOKENIZER, "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class _Rules:
    """A folder's tokenizer, and how it fills up."""

    tokenizer: Any
    """tokenizers.Tokenizer"""
    pad_token: str
    pad_id: int
    side: str
    """"left" or "right"."""


def write_tokenizer(folder: Path, target: Path, config: Any, pad_to: int | None) -> str | None:
    """Write target/tokenizer.json for the model in `folder`.

    Args:
        config: the transformers configuration of the whole model.
        pad_to: the number of tokens that each sentence is filled up to, if it is.

    Returns:
        The file's name, or None (and no file) where the vocabulary is OpenAI's, whose rules
        `clip_tokens` follows more closely than any tokenizer.json can.

    Raises:
        BundleError: there is no tokenizer, or one that does not fit the model.
    """
    text = config.text_config
    present = any((folder / name).exists() for name in _FILES)
    openai = config.model_type == "clip" and text.vocab_size == VOCABULARY_SIZE
    if not present:
        if openai:
            return None
        raise BundleError(
            f"{folder} has a vocabulary of its own ({text.vocab_size} pieces) but no {TOKENIZER}: "
            "copy that file from where the model was published."
        )
    rules = _load(folder, text)
    pieces = rules.tokenizer.get_vocab(with_added_tokens=True)
    if openai and pieces == vocabulary():
        return None
    _refuse_strangers(folder, config, rules)
    if config.model_type == "siglip":
        _add_siglip_cleaning(rules.tokenizer, keeps_marks=_is_siglip_2(folder))
    rules.tokenizer.no_truncation()
    rules.tokenizer.no_padding()
    if pad_to is not None:
        rules.tokenizer.enable_padding(
            direction=rules.side, pad_id=rules.pad_id, pad_token=rules.pad_token, length=pad_to
        )
    rules.tokenizer.save(str(target / TOKENIZER))
    return TOKENIZER


def _load(folder: Path, text: Any) -> _Rules:
    """By transformers where it can, else (SigLIP without sentencepiece) from tokenizer.json."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    reason: Exception | None = None
    try:
        loaded = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        if loaded.is_fast:
            pad_id = loaded.pad_token_id
            return _Rules(
                loaded.backend_tokenizer,
                str(loaded.pad_token or ""),
                _pad_id(text) if pad_id is None else int(pad_id),
                loaded.padding_side,
            )
    except Exception as error:  # each tokenizer class of transformers raises its own kinds
        reason = error
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the library raises bare Exceptions
        raise BundleError(
            f"The tokenizer in {folder} cannot be loaded ({reason or error}): copy {TOKENIZER} "
            "there from where the model was published."
        ) from error
    settings = _settings(folder)
    pad = settings.get("pad_token")
    pad_token = pad.get("content", "") if isinstance(pad, dict) else str(pad or "")
    pad_id = tokenizer.token_to_id(pad_token)
    return _Rules(
        tokenizer,
        pad_token,
        _pad_id(text) if pad_id is None else pad_id,
        settings.get("padding_side", "right"),
    )


def _pad_id(text: Any) -> int:
    return int(getattr(text, "pad_token_id", None) or 0)


def _settings(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json says; nothing where there is none."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _is_siglip_2(folder: Path) -> bool:
    return "Siglip2" in (name := str(_settings(folder).get("tokenizer_class"))) or "Gemma" in name


def _add_siglip_cleaning(tokenizer: Any, keeps_marks: bool) -> None:
    """What SiglipTokenizer and Siglip2Tokenizer of transformers do before they look for pieces.

    Both make letters small; SigLIP (from big_vision's `canonicalize_text`) also drops ASCII's
    punctuation and spare blanks. Doing it twice does no harm.
    """
    from tokenizers import Regex, normalizers

    steps: list[Any] = [normalizers.Lowercase()]
    if not keeps_marks:
        marks = "".join(f"\\{mark}" for mark in string.punctuation)
        steps += [
            normalizers.Replace(Regex(f"[{marks}]"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    if tokenizer.normalizer is not None:
        steps.append(tokenizer.normalizer)
    tokenizer.normalizer = normalizers.Sequence(steps)


def _refuse_strangers(folder: Path, config: Any, rules: _Rules) -> None:
    """A tokenizer of another model would give other words' vectors, or none."""
    text = config.text_config
    ids = rules.tokenizer.encode("a dog, 2 men").ids
    if max(ids, default=0) >= text.vocab_size:
        raise BundleError(
            f"The tokenizer in {folder} knows more pieces than the {text.vocab_size} of the text "
            f"network: copy {TOKENIZER} again from where the model was published."
        )
    end = getattr(text, "eos_token_id", None)
    # 2 is what old configurations of CLIP say by mistake; others lie outside of the vocabulary.
    pooled_at_end = config.model_type in ("clip", "metaclip_2") and end is not None and end != 2
    if pooled_at_end and end < text.vocab_size and end not in ids:
        raise BundleError(
            f"The tokenizer in {folder} does not close a sentence with the end mark ({end}) at "
            "which the text network is read: copy the tokenizer's files again from where the "
            "model was published."
        )
