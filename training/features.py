"""What the frozen towers say of the photos and the sentences."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from training import minilm
from training.photos import Photo
from training.photoset import read_pictures
from training.views import view

CHUNK = 64
"""Pictures that are decoded and held at a time."""


def session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session of an ONNX model held in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def photo_features(
    tower: bytes, root: Path, photos: Sequence[Photo], number: int, seed: int, workers: int
) -> NDArray[np.float16]:
    """A tower's output (photos, f), as float16, for view `number` of each photo."""
    network = session(tower, threads=1)
    out = np.zeros((len(photos), network.get_outputs()[0].shape[1]), np.float16)

    def describe(item: tuple[int, Image.Image]) -> None:
        position, picture = item
        look = view(picture, photos[position].key, number, seed)
        (features,) = network.run(None, {"pixels": look[None]})
        out[position] = features[0]

    with ThreadPoolExecutor(workers) as pool:
        pictures = read_pictures(root, photos)
        while chunk := list(islice(pictures, CHUNK)):
            list(pool.map(describe, chunk))
    return out


def sentence_features(
    tower: bytes, tokenizer: Tokenizer, sentences: Sequence[str], workers: int
) -> NDArray[np.float16]:
    """Mean-pooled unit vectors (sentences, 384) float16, as sentence-transformers makes them.

    One by one, as a search does it: the int8 tower scales its activations by call.
    """
    network = session(tower, threads=1)
    out = np.zeros((len(sentences), minilm.WIDTH), np.float16)

    def describe(position: int) -> None:
        ids = np.array([tokenizer.encode(sentences[position]).ids], np.int64)
        (hidden,) = network.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        pooled = hidden[0].mean(axis=0)
        out[position] = pooled / np.linalg.norm(pooled)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(describe, range(len(sentences))))
    return out
