"""Examples as tensors of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.moments.bank import Bank
from search.moments.lite_inputs import INPUT_NAMES, curves, text_input, video_input
from search.moments.qd_detr_inputs import padded
from training.composed.draws import Draws, clip_shares, parts
from training.composed.stock import Stock, one


@dataclass(frozen=True, repr=False)
class Row:
    """One example; float16 where it is many."""

    question: int
    video: NDArray[np.float16]
    """(clips, width)"""
    shares: NDArray[np.float32]
    """(clips,): how much of each clip shows what is asked for."""
    spans: NDArray[np.float32]
    """(windows, 2): centre and width in parts of the segment; none if it is not there."""


@dataclass(frozen=True, repr=False)
class Batch:
    """B rows, padded to the longest."""

    inputs: dict[str, Tensor]
    shares: Tensor
    """(B, V)"""
    spans: list[Tensor]
    exists: Tensor
    """(B,): 1 where it is there."""


def rows(stock: Stock, bank: Bank, draws: Draws, count: int, present: float) -> list[Row]:
    """So many examples, drawn."""
    chance = bank.of_sentences(stock.words.pooled.astype(np.float32))
    made = []
    for _ in range(count):
        example = draws.example(present)
        segment, number = example.segment, example.question
        seen = curves(segment, stock.query(number), bank, one(chance, number))
        made.append(
            Row(
                number,
                video_input(segment, seen).astype(np.float16),
                clip_shares(segment, example.windows_s),
                parts(segment, example.windows_s),
            )
        )
    return made


def batches(
    stock: Stock, examples: Sequence[Row], size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """One pass over the examples in random order; rows of like length stand together, so that
    little is padded.
    """
    order = rng.permutation(len(examples))
    block = 16 * size
    for first in range(0, len(order), block):
        some = sorted(order[first : first + block], key=lambda row: len(examples[row].video))
        groups = [some[begin : begin + size] for begin in range(0, len(some), size)]
        for number in rng.permutation(len(groups)).tolist():
            yield batch(stock, [examples[row] for row in groups[number]])


def batch(stock: Stock, chosen: Sequence[Row]) -> Batch:
    """The rows as one batch."""
    text = padded([text_input(stock.query(row.question)) for row in chosen])
    video = padded([row.video.astype(np.float32) for row in chosen])
    shares, _ = padded([row.shares[:, np.newaxis] for row in chosen])
    arrays = [torch.from_numpy(array) for array in (*text, *video)]
    return Batch(
        dict(zip(INPUT_NAMES, arrays, strict=True)),
        torch.from_numpy(shares[..., 0]),
        [torch.from_numpy(row.spans) for row in chosen],
        torch.tensor([float(len(row.spans) > 0) for row in chosen]),
    )
