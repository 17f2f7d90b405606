"""The text tower of an ONNX bundle, by default the shipped `lite`."""

from __future__ import annotations

import numpy as np

from search.graph import open_graph
from search.text.base import EncodedQuery
from storage.bundles import EncoderBundle
from storage.errors import BundleError, QueryError
from storage.records import EncoderStamp


class LiteTextEncoder:
    """MiniLM sentence embeddings, projected into the space shared with pictures."""

    def __init__(self, bundle: EncoderBundle) -> None:
        """Load tokenizer and network.

        Raises:
            BundleError: a file of the bundle cannot be loaded.
        """
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(bundle.text.tokenizer))
            self._session = open_graph(bundle.text.file)
        except Exception as error:  # both libraries raise bare Exception subclasses
            raise BundleError(
                f"The text network of the bundle {bundle.manifest.name!r} cannot be loaded "
                f"({error}): install reelseek again."
            ) from error
        self._tower = bundle.text
        self._stamp = bundle.stamp

    @property
    def stamp(self) -> EncoderStamp:
        return self._stamp

    def encode(self, sentence: str) -> EncodedQuery:
        text = " ".join(sentence.split())
        if not text:
            raise QueryError(
                'The query is empty: say what is to be seen or heard, such as "a dog in snow".'
            )
        # A terminal may hand over bytes that are no characters; the library cannot take them.
        ids = self._tokenizer.encode(text.encode("utf-8", "replace").decode("utf-8")).ids
        if len(ids) > self._tower.max_tokens:
            raise QueryError(
                f"The query has {len(text.split())} words, more than can be read at once: "
                f"describe the moment in one or two sentences (at most about "
                f"{self._tower.max_tokens * 3 // 4} words)."
            )
        input_ids = np.array([ids], dtype=np.int64)
        wanted = [self._tower.pooled, self._tower.tokens]
        if self._tower.sentence is not None:
            wanted.append(self._tower.sentence)
        pooled, tokens, *unprojected = self._session.run(
            wanted, {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
        )
        return EncodedQuery(text, pooled[0], tokens[0], unprojected[0][0] if unprojected else None)
