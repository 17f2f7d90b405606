"""The sentence tower in two parts: lower layers, which stay and are run once, and upper ones, which
are trained on what the lower ones said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from training import minilm
from training.heads import unit

CHUNK = 256
"""Sentences that run through the lower layers at a time."""

BUCKETS = 4
"""A batch is cut into so many parts of like length, so that little time goes into padding."""


@dataclass(frozen=True)
class HiddenStates:
    """What the lower layers say of every token of many sentences, one sentence after another."""

    states: Tensor
    """(tokens of all sentences, 384) float16."""
    starts: NDArray[np.int64]
    """(sentences + 1,): where each sentence begins, and the end of the last."""


@torch.inference_mode()
def frozen_states(
    network: minilm.MiniLM, tokenizer: Tokenizer, texts: Sequence[str], trained: int
) -> HiddenStates:
    """Runs the texts through all layers but the last `trained`."""
    ids = [np.array(found.ids) for found in tokenizer.encode_batch(list(texts))]
    lengths = np.array([len(row) for row in ids])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    states = torch.zeros(int(starts[-1]), minilm.WIDTH, dtype=torch.float16)
    by_length = np.argsort(lengths, kind="stable")
    for first in range(0, len(by_length), CHUNK):
        rows = by_length[first : first + CHUNK]
        tokens = np.zeros((len(rows), lengths[rows].max()), np.int64)
        for place, row in enumerate(rows):
            tokens[place, : lengths[row]] = ids[row]
        mask = torch.arange(tokens.shape[1]) < torch.from_numpy(lengths[rows])[:, None]
        with torch.autocast("cpu", torch.bfloat16):
            x = network.embeddings(torch.from_numpy(tokens))
            for layer in network.encoder.layer[: minilm.LAYERS - trained]:
                x = layer(x, attention_bias(mask))
        # Row by row and token by token is the order of the flat store, for these rows.
        places = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
        states[torch.from_numpy(places)] = x[mask].half()
    return HiddenStates(states, starts)


def attention_bias(mask: Tensor) -> Tensor:
    """What is added to attention scores (n, heads, t, t), for the tokens that count (n, t) bool."""
    return (1.0 - mask[:, None, None, :].float()) * minilm.MASKED


class UpperLayers(nn.Module):
    """The last layers of MiniLM, and the mean over a sentence's tokens."""

    def __init__(self, network: minilm.MiniLM, trained: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(network.encoder.layer[minilm.LAYERS - trained :])

    def forward(
        self,
        hidden: HiddenStates,
        rows: NDArray[np.int64],
        drop: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> Tensor:
        """Unit vectors (rows, 384) of the sentences in these rows.

        `drop`: the share of tokens that `rng` leaves out, as if they had not been said.
        """
        lengths = np.diff(hidden.starts)[rows]
        by_length = np.argsort(lengths, kind="stable")
        parts = np.array_split(by_length, BUCKETS if len(rows) >= 32 * BUCKETS else 1)
        vectors = []
        for part in parts:
            mask = np.arange(lengths[part].max()) < lengths[part][:, None]
            if drop and rng is not None:
                kept = rng.random(mask.shape) >= drop
                kept[:, 0] = True
                mask &= kept
            vectors.append(self._read(hidden, rows[part], torch.from_numpy(mask)))
        return torch.cat(vectors)[torch.from_numpy(np.argsort(by_length, kind="stable"))]

    def _read(self, hidden: HiddenStates, rows: NDArray[np.int64], mask: Tensor) -> Tensor:
        places = hidden.starts[rows][:, None] + np.arange(mask.shape[1])
        places = np.minimum(places, len(hidden.states) - 1)  # padding of the very last sentence
        x = hidden.states[torch.from_numpy(places)].float()
        for layer in self.layers:
            x = layer(x, attention_bias(mask))
        weights = mask[:, :, None].float()
        return unit((x.float() * weights).sum(dim=1) / weights.sum(dim=1))
