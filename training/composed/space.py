"""An encoder bundle, taken apart: what its picture tower sees, where its head and its words go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tokenizers import Tokenizer

from storage.bundles import EncoderBundle
from storage.errors import BundleError
from training.features import session

FEATURE = "feature"
"""Name of the tensor between picture tower and head in the graph that `training.export` joins."""

_BOTH_LOOKS, _LOOK_FEATURE = "looks/both", "looks/feature"
"""The same where the graph looks twice: pictures of both looks, and features of each."""
_SENTENCES_AT_ONCE = 32


@dataclass(frozen=True, repr=False)
class Words:
    """Sentences in the space of an encoder."""

    pooled: NDArray[np.float32]
    """(sentences, dim), unit length."""
    meaning: NDArray[np.float32]
    """(sentences, w), unit length: the text tower's own vectors, or `pooled` where it gives none.
    Tells how alike two sentences are, whatever pictures show."""
    tokens: NDArray[np.float16]
    """(all tokens, dim), unit length, sentence after sentence."""
    ends: NDArray[np.int64]
    """(sentences,): where the tokens of each one end."""

    def of(self, rows: Sequence[int]) -> Words:
        """Those of some sentences."""
        some = list(rows)
        parts = [self.tokens_of(row).astype(np.float16) for row in some]
        ends = np.cumsum([len(part) for part in parts])
        return Words(self.pooled[some], self.meaning[some], np.concatenate(parts), ends)

    def and_those(self, others: Words) -> Words:
        """Both, one after the other."""
        return Words(
            np.concatenate([self.pooled, others.pooled]),
            np.concatenate([self.meaning, others.meaning]),
            np.concatenate([self.tokens, others.tokens]),
            np.concatenate([self.ends, len(self.tokens) + others.ends]),
        )

    def tokens_of(self, sentence: int) -> NDArray[np.float32]:
        """(tokens, dim)"""
        begin = 0 if sentence == 0 else int(self.ends[sentence - 1])
        return self.tokens[begin : int(self.ends[sentence])].astype(np.float32)


def picture_tower(bundle: EncoderBundle) -> bytes:
    """The picture graph up to the features that the head reads, as an ONNX file.

    Of a tower that looks at every frame twice (`training.looks`) only the first look: half of the
    time for as many crops, and it is what the encoder's own head learnt from.
    """
    model = onnx.load(bundle.image.file)
    names = {name for node in model.graph.node for name in node.output}
    if _BOTH_LOOKS not in names:
        return _part(bundle, model, bundle.image.input, FEATURE)
    (joined,) = (node for node in model.graph.node if _BOTH_LOOKS in node.output)
    for node in model.graph.node:
        node.input[:] = [joined.input[0] if name == _BOTH_LOOKS else name for name in node.input]
    return _part(bundle, model, bundle.image.input, _LOOK_FEATURE)


def projected(bundle: EncoderBundle, features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Vectors (n, dim) of unit length that the bundle's own head gives features (n, f)."""
    head = session(
        _part(bundle, onnx.load(bundle.image.file), FEATURE, bundle.image.output), threads=1
    )
    blocks = [
        head.run(None, {FEATURE: features[first : first + 4096].astype(np.float32)})[0]
        for first in range(0, len(features), 4096)
    ]
    return np.concatenate(blocks)


def encoded(bundle: EncoderBundle, sentences: Sequence[str], cache: Path) -> Words:
    """The sentences as a search would encode them, kept in the folder `cache`."""
    text = bundle.text.file.read_bytes()
    digest = hashlib.sha256(text + json.dumps(list(sentences)).encode()).hexdigest()[:16]
    path = cache / f"words-{digest}.npz"
    if not path.exists():
        print(f"making {path.name}: {len(sentences)} sentences", flush=True)
        pooled, meaning, tokens = _encoded(bundle, sentences)
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.partial")
        with unfinished.open("wb") as stream:
            np.savez(
                stream,
                pooled=pooled,
                meaning=meaning,
                tokens=np.concatenate(tokens),
                ends=np.cumsum([len(rows) for rows in tokens]),
            )
        unfinished.replace(path)
    with np.load(path) as kept:
        return Words(kept["pooled"], kept["meaning"], kept["tokens"], kept["ends"])


def _encoded(
    bundle: EncoderBundle, sentences: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[NDArray[np.float16]]]:
    """Sentences of one length at a time, which is several times as fast as one by one."""
    tower = bundle.text
    tokenizer = Tokenizer.from_file(str(tower.tokenizer))
    network = session(tower.file.read_bytes(), threads=1)
    ids = [tokenizer.encode(" ".join(text.split())).ids[: tower.max_tokens] for text in sentences]
    own = getattr(tower, "sentence", None) or tower.pooled
    outputs = list(dict.fromkeys([tower.pooled, tower.tokens, own]))
    pooled, meaning, tokens = {}, {}, {}
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for _, rows in groupby(order, key=lambda row: len(ids[row])):
        for batch in _batches(list(rows), _SENTENCES_AT_ONCE):
            taken = np.array([ids[row] for row in batch], np.int64)
            found = dict(
                zip(
                    outputs,
                    network.run(
                        outputs, {"input_ids": taken, "attention_mask": np.ones_like(taken)}
                    ),
                    strict=True,
                )
            )
            for place, row in enumerate(batch):
                pooled[row] = found[tower.pooled][place]
                meaning[row] = found[own][place]
                tokens[row] = _unit(found[tower.tokens][place]).astype(np.float16)
    every = range(len(ids))
    return (
        np.stack([pooled[row] for row in every]),
        np.stack([meaning[row] for row in every]),
        [tokens[row] for row in every],
    )


def _batches(rows: list[int], size: int) -> Iterator[list[int]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _part(bundle: EncoderBundle, model: onnx.ModelProto, source: str, target: str) -> bytes:
    """The part of the picture graph between two tensors."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    if target not in makers or source not in {*makers, *(put.name for put in graph.input)}:
        raise BundleError(
            f"The encoder {bundle.manifest.name!r} was not made by training.lite: its picture "
            f"network does not lead from {source!r} to {target!r}."
        )
    needed: set[int] = set()
    wanted = [target]
    while wanted:
        node = makers.get(wanted.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            wanted += [name for name in node.input if name != source]
    nodes = [node for node in graph.node if id(node) in needed]
    read = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in read]
    ends = {put.name: put for put in (*graph.input, *graph.output)}
    float_ = onnx.TensorProto.FLOAT
    put, out = (
        ends.get(name) or onnx.helper.make_tensor_value_info(name, float_, ["n", None])
        for name in (source, target)
    )
    part = onnx.helper.make_graph(nodes, "part", [put], [out], tensors)
    made = onnx.helper.make_model(part, opset_imports=model.opset_import)
    made.ir_version = model.ir_version
    return bytes(made.SerializeToString())


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, 1e-6)
    return unit
