"""What a checkpoint is, from the names of its tensors and from what else it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from storage.checkpoints import Checkpoint
from storage.errors import BundleError
from weights.families import CNN14, ENCODERS, QD_DETR, TITLES

_MARKS = {
    QD_DETR: ("input_vid_proj.0.LayerNorm.weight", "transformer.t2v_encoder."),
    CNN14: ("conv_block6.conv1.weight", "fc_audioset.weight"),
}
"""Beginnings of names that only this family has; all must occur."""

_OPENAI_CLIP = ("visual.", "token_embedding.weight", "ln_final.weight")
_HUGGING_FACE = ("vision_model.", "text_model.")

_RELATIVES = {
    "input_vid_proj.": "a moment head, but none of QD-DETR: of Moment-DETR or another of its kin",
    "fc_audioset.weight": "a sound network of the PANNs, but none of the shape of Cnn14",
    "roberta.": "a text tower without pictures",
    "embeddings.word_embeddings.weight": "a text tower without pictures",
    "model.layers.0.self_attn.q_proj.weight": "a language model",
    "model.diffusion_model.": "a picture generator",
}
"""Near misses, by the beginning of a name, that get a sentence of their own."""

_NAMED_AT_MOST = 3

_DATA_PARALLEL = "module."
"""What torch's DataParallel puts before every name of the network that it wraps."""


@dataclass(frozen=True)
class Recognised:
    """What a checkpoint turned out to be."""

    word: str
    """A word of `weights.families`."""
    openai_names: bool = False
    """CLIP whose tensors have OpenAI's names, and not those of transformers."""


class _Unwrapped(Mapping[str, NDArray[Any]]):
    """Tensors without the beginning that all their names share; read as they are looked at."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], beginning: str) -> None:
        self._tensors = tensors
        self._beginning = beginning
        self._names = [name.removeprefix(beginning) for name in tensors]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._tensors[self._beginning + name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def unwrapped(checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint of the network itself if it was saved inside DataParallel, else None.

    Only a beginning `module.` of every single name tells that; nothing is read for it.
    """
    names = checkpoint.tensors.keys()
    if not names or not all(name.startswith(_DATA_PARALLEL) for name in names):
        return None
    return dataclasses.replace(
        checkpoint,
        tensors=_Unwrapped(checkpoint.tensors, _DATA_PARALLEL),
        original_dtypes={
            name.removeprefix(_DATA_PARALLEL): dtype
            for name, dtype in checkpoint.original_dtypes.items()
        },
    )


def recognise(checkpoint: Checkpoint) -> Recognised:
    """Tell the family of a checkpoint.

    Raises:
        BundleError: it is of no family that can be brought; says what it looks like.
    """
    names = checkpoint.tensors.keys()
    for word, marks in _MARKS.items():
        if _all_occur(marks, names):
            return Recognised(word)
    if _all_occur(_OPENAI_CLIP, names):
        return Recognised("clip", openai_names=True)
    if _all_occur(_HUGGING_FACE, names) or "model_type" in checkpoint.options:
        return _by_config(checkpoint)
    raise BundleError(
        f"{checkpoint.path} is {_what_else(names)}, and not a model that can be brought: "
        f"those are {', '.join(TITLES.values())}."
    )


def require_family(checkpoint: Checkpoint, word: str) -> Recognised:
    """As `recognise`, for a checkpoint that is said to be of one family.

    Raises:
        BundleError: it is of another; says which `--as` would be right.
    """
    found = recognise(checkpoint)
    if found.word != word:
        raise BundleError(
            f"{checkpoint.path} is {TITLES[found.word]}, not {TITLES[word]}: import it with "
            f"`--as {found.word}`."
        )
    return found


def _by_config(checkpoint: Checkpoint) -> Recognised:
    if checkpoint.container != "Hugging Face folder":
        raise BundleError(
            f"{checkpoint.path} has the tensors of an encoder in transformers' names, but its "
            "sizes are told by config.json beside it: name the folder that holds both."
        )
    model_type = checkpoint.options.get("model_type")
    for family in ENCODERS:
        if family.model_type == model_type:
            return Recognised(family.word)
    if model_type == "siglip2":
        raise BundleError(
            f"{checkpoint.path} is a SigLIP 2 for pictures of any shape (NaFlex), which reelseek "
            "cannot run: bring one for a fixed size, such as siglip2-base-patch16-224."
        )
    said = ascii(model_type)[:60] if model_type is not None else "nothing"
    raise BundleError(
        f"{checkpoint.path} cannot be brought: its config.json gives {said} as model_type, and "
        f"reelseek knows {', '.join(family.model_type for family in ENCODERS)}."
    )


def _all_occur(beginnings: Collection[str], names: Collection[str]) -> bool:
    return all(any(name.startswith(beginning) for name in names) for beginning in beginnings)


def _what_else(names: Collection[str]) -> str:
    for beginning, what in _RELATIVES.items():
        if _all_occur((beginning,), names):
            return what
    first = ", ".join(ascii(name)[1:61].rstrip("'") for name in sorted(names)[:_NAMED_AT_MOST])
    return f"a checkpoint of {len(names):,} tensors ({first}, …)"


def plain_int(options: Mapping[str, object], name: str) -> int | None:
    """A whole number that a checkpoint states, or None; True is no number here."""
    value = options.get(name)
    return value if type(value) is int else None
