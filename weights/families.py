"""The kinds of model that can be brought, under the words that `--as` takes."""

from __future__ import annotations

from dataclasses import dataclass

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's training pictures, red, green, blue (openai/CLIP, clip/clip.py, `_transform`)."""

_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders that transformers loads, and how their pictures are prepared unless a folder says
    otherwise."""

    word: str
    title: str
    model_type: str
    """As config.json names it."""
    model_class: str
    """Class of transformers."""
    fit: str = "centre-crop"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD


ENCODERS = (
    EncoderFamily("clip", "CLIP", "clip", "CLIPModel"),
    EncoderFamily("siglip", "SigLIP", "siglip", "SiglipModel", "squash", _HALF, _HALF),
    EncoderFamily("altclip", "AltCLIP", "altclip", "AltCLIPModel"),
    EncoderFamily("chinese-clip", "Chinese-CLIP", "chinese_clip", "ChineseCLIPModel", "squash"),
    EncoderFamily("metaclip-2", "MetaCLIP 2", "metaclip_2", "MetaClip2Model"),
)

CNN14 = "cnn14"
QD_DETR = "qd-detr"

TITLES = {
    **{family.word: family.title for family in ENCODERS},
    CNN14: "PANNs Cnn14",
    QD_DETR: "QD-DETR",
}
"""What each word stands for, for people."""

WORDS = tuple(TITLES)


def encoder_family(word: str) -> EncoderFamily | None:
    """The family of encoders under a word of `--as`; None if it is no encoder's."""
    return next((family for family in ENCODERS if family.word == word), None)
