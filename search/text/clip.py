"""The text tower of CLIP and its relatives, as an ONNX graph that `clip_export` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.text.base import EncodedQuery
from search.text.clip_tokens import ClipTokenizer
from storage.bundles import EncoderBundle, TextTower
from storage.errors import BundleError, QueryError
from storage.records import EncoderStamp


class ClipTextEncoder:
    """Sentences to the vectors that official code gives for them.

    The tower is causal: a row does not depend on what follows it. So the rows that a moment head
    reads (at most 32 for QD-DETR) come from the same run as the sentence's vector. Only where the
    sentence is longer does the end mark stand in another place, and a second run is needed.
    """

    def __init__(self, bundle: EncoderBundle) -> None:
        """Load vocabulary and network.

        Raises:
            BundleError: a file of the bundle cannot be loaded.
        """
        try:
            self._tokenizer = _tokenizer(bundle.text)
            self._session = _session(bundle.text.file)
        except Exception as error:  # onnxruntime and tokenizers raise bare Exception subclasses
            name = bundle.manifest.name
            raise BundleError(
                f"The text network of the model {name!r} cannot be loaded ({error}): import the "
                "model again."
            ) from error
        self._tower = bundle.text
        self._stamp = bundle.stamp

    @property
    def stamp(self) -> EncoderStamp:
        return self._stamp

    def encode(self, sentence: str) -> EncodedQuery:
        text = " ".join(sentence.split())
        ids = self._tokenizer.for_pooled(text)
        if not text or len(ids) <= len(self._tokenizer.for_pooled("")):
            raise QueryError(
                'The query is empty: say what is to be seen or heard, such as "a dog in snow".'
            )
        pooled, rows = self._run(ids)
        words = self._tokenizer.for_words(text)
        if words != ids[: len(words)]:
            _, rows = self._run(words)
        return EncodedQuery(text, pooled, rows[: len(words)])

    def _run(self, ids: list[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vector of one sentence (dim,), and that of each token (tokens, width)."""
        length = max(len(ids), self._tower.pad_to or 0)
        first = length - len(ids) if self._tokenizer.pads_left else 0
        own = slice(first, first + len(ids))
        input_ids = np.full((1, length), self._tokenizer.pad_id, dtype=np.int64)
        mask = np.zeros_like(input_ids)
        input_ids[0, own] = ids
        mask[0, own] = 1
        pooled, rows = self._session.run(
            [self._tower.pooled, self._tower.tokens],
            {"input_ids": input_ids, "attention_mask": mask},
        )
        return pooled[0], rows[0, own]


class Tokenizer(Protocol):
    """Sentences to ids, for the two ways in which they are read."""

    pad_id: int
    """What fills up to `TextTower.pad_to`."""
    pads_left: bool
    """On which side."""

    def for_pooled(self, sentence: str) -> list[int]:
        """All ids of the sentence; QueryError if the tower does not read so many."""

    def for_words(self, sentence: str) -> list[int]:
        """The ids that a moment head sees."""


class FolderTokenizer:
    """The tokenizer.json of a model that does not use OpenAI's vocabulary."""

    def __init__(self, tower: TextTower) -> None:
        from tokenizers import Tokenizer as Rules

        self._rules = Rules.from_file(str(tower.tokenizer))
        padding = self._rules.padding or {}
        self.pad_id = int(padding.get("pad_id", 0))
        self.pads_left = padding.get("direction") == "left"
        self._rules.no_padding()
        self._rules.no_truncation()
        self._max_tokens = tower.max_tokens
        self._word_tokens = tower.word_tokens

    def for_pooled(self, sentence: str) -> list[int]:
        ids = self._ids(sentence)
        if len(ids) > self._max_tokens:
            raise QueryError(
                f"The query has {len(ids)} word pieces, more than the {self._max_tokens} that can "
                "be read at once: describe the moment in one or two short sentences."
            )
        return ids

    def for_words(self, sentence: str) -> list[int]:
        ids = self._ids(sentence)
        if self._word_tokens is None or len(ids) <= self._word_tokens:
            return ids
        return [*ids[: self._word_tokens - 1], ids[-1]]

    def _ids(self, sentence: str) -> list[int]:
        # A terminal may hand over bytes that are no characters; the library cannot take them.
        whole = sentence.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._rules.encode(whole).ids
        return ids


def _tokenizer(tower: TextTower) -> Tokenizer:
    if tower.tokenizer is not None:
        return FolderTokenizer(tower)
    return ClipTokenizer(tower.max_tokens, tower.word_tokens or tower.max_tokens)


def _session(file: Path) -> Any:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Weights stay in the file, mapped into memory, and are not rearranged for speed: a search
    # asks one sentence, and would wait longer for that than it saves. On weights as they lie,
    # one thread is faster than two.
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
