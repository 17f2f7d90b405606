"""QD-DETR checkpoints: what they were trained to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_inputs import TEF_DIM
from storage.checkpoints import Checkpoint
from storage.errors import BundleError
from storage.records import CLIP_S
from weights.known import KnownFile
from weights.recognise import plain_int

SLOWFAST = 2304
PANNS = 2048

_CLIP_WIDTHS = {512: "ViT-B/32", 768: "ViT-L/14"}
"""Length of a picture's vector to the tower that the features of QVHighlights were made with:
published ones for 512; for 768 the usual choice of those who made their own."""

_SHORTEST_CLIP_S, _LONGEST_CLIP_S = 0.1, 60.0

_OTHER_EXTRACTORS = ("BLIP", "C3D", "I3D", "ResNet", "VGG", "InternVideo")
"""As the folders of features are usually called that moment heads are trained from."""

_PUBLISHED_HIDDEN, _PUBLISHED_HEADS = 256, 8


@dataclass(frozen=True)
class HeadWishes:
    """What the user says about a head, where its file does not."""

    sound_dim: int | None = None
    """Numbers of sound per clip, without TEF; 0 for a head that does without."""
    heads: int | None = None
    """Attention heads, which leave no trace in the shapes."""
    tower: str | None = None
    """The picture tower that it was trained with, e.g. "ViT-B/32"."""


@dataclass(frozen=True)
class HeadFacts:
    """What a head reads."""

    config: QDDETRConfig
    variant: str
    """"clip", "sf_clip", "sf_clip_audio", "clip_audio", or "other"."""
    picture_dim: int
    """Without TEF, as `sound_dim`."""
    sound_dim: int
    clip_s: float
    tower: str | None
    tower_is_assumed: bool
    """Whether it was taken from the sizes, because neither file nor user named it."""
    missing_features: str | None
    """What its pictures are described by beside CLIP, which reelseek does not compute."""


def read_head(checkpoint: Checkpoint, wishes: HeadWishes, known: KnownFile | None) -> HeadFacts:
    """Read off a checkpoint what it was trained on.

    Raises:
        BundleError: tensors are missing, surplus or misshapen; what it says contradicts them or
            makes no sense; it was trained in a way that reelseek does not run; or it does not say
            how its input divides into picture and sound, and neither does the user.
    """
    shapes = {name: tuple(values.shape) for name, values in checkpoint.tensors.items()}
    options = _options(checkpoint)
    _refuse_other_ways(checkpoint.path, options)
    width = _clip_width(checkpoint.path, shapes)
    audio_dim = _audio_dim(checkpoint.path, width, options, wishes)
    try:
        config = QDDETRConfig.from_shapes(
            shapes, audio_dim=audio_dim, heads=_heads(checkpoint.path, shapes, options, wishes)
        )
    except ValueError as error:
        raise BundleError(f"{checkpoint.path} cannot be imported as QD-DETR: {error}.") from None
    _refuse_other_words(checkpoint.path, config.text_dim, options)
    if options.get("use_txt_pos") is True:
        config = dataclasses.replace(config, text_positions=True)
    picture_dim = config.video_dim - TEF_DIM
    missing = _missing_features(picture_dim, options)
    clip_dim = picture_dim - SLOWFAST if _has_slowfast(picture_dim, options) else picture_dim
    tower = wishes.tower or (known.tower if known else None)
    is_assumed = tower is None and config.text_dim == clip_dim and clip_dim in _CLIP_WIDTHS
    if is_assumed:
        tower = _CLIP_WIDTHS[clip_dim]
    return HeadFacts(
        config=config,
        variant=_variant(picture_dim, max(0, audio_dim - TEF_DIM)),
        picture_dim=picture_dim,
        sound_dim=max(0, audio_dim - TEF_DIM),
        clip_s=_clip_length(checkpoint.path, options),
        tower=tower,
        tower_is_assumed=is_assumed,
        missing_features=missing,
    )


def _options(checkpoint: Checkpoint) -> Mapping[str, object]:
    options = checkpoint.options.get("opt")
    return options if isinstance(options, Mapping) else {}


def _refuse_other_ways(path: Path, options: Mapping[str, object]) -> None:
    """Ways to train that the official code offers and shapes do not show; none was published."""
    ways = {
        "pre_norm": (True, "with norms before the attention (pre_norm)"),
        "no_norm_vfeat": (True, "on picture vectors of any length (no_norm_vfeat)"),
        "no_norm_tfeat": (True, "on word vectors of any length (no_norm_tfeat)"),
        "use_tef": (False, "without the place of a clip in time (TEF)"),
    }
    for name, (value, words) in ways.items():
        if options.get(name) is value:
            raise BundleError(
                f"{path} was trained {words}, as no published QD-DETR was; reelseek does not run "
                "such a head: train it with the official defaults."
            )


def _clip_width(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Numbers per clip; makes sure that counting layers by their highest number takes no time."""
    shape = shapes.get("input_vid_proj.0.LayerNorm.weight", ())
    if len(shape) != 1:
        raise BundleError(
            f"{path} cannot be imported as QD-DETR: input_vid_proj.0.LayerNorm.weight is no vector."
        )
    numbers = (int(part) for name in shapes for part in name.split(".") if _is_number(part))
    if max(numbers, default=0) > len(shapes):
        raise BundleError(f"{path} cannot be imported as QD-DETR: its layers are not numbered on.")
    return shape[0]


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 20


def _audio_dim(path: Path, width: int, options: Mapping[str, object], wishes: HeadWishes) -> int:
    """How many of the `width` numbers of a clip are sound, TEF included."""
    if wishes.sound_dim is not None:
        audio = wishes.sound_dim + TEF_DIM if wishes.sound_dim else 0
        if audio + TEF_DIM >= width:
            raise BundleError(
                f"{path} reads {width} numbers per clip, which leaves none for the picture beside "
                f"{wishes.sound_dim} of sound: give another --sound-dim."
            )
        return audio
    video = plain_int(options, "v_feat_dim")
    if video is not None:
        said = _said_audio_dim(width, video, plain_int(options, "a_feat_dim"))
        if said is None:
            raise BundleError(
                f"{path} contradicts itself: by what it says, {video} numbers of a clip are of its "
                f"picture, and its tensors read {width}: give --sound-dim."
            )
        return said
    for clip in _CLIP_WIDTHS:
        for video in (clip + TEF_DIM, SLOWFAST + clip + TEF_DIM):
            if width == video:
                return 0
            if width == video + PANNS + TEF_DIM:
                return PANNS + TEF_DIM
    raise BundleError(
        f"{path} reads {width} numbers per clip and does not say how many of them are sound: give "
        "--sound-dim, 0 for a head that does without."
    )


def _said_audio_dim(width: int, video: int, audio: int | None) -> int | None:
    """As a file's options have it; None where they do not add up to `width`.

    Official files count TEF in both; the opt.json beside them leaves it out of `v_feat_dim`. They
    state a width of sound (2050) also where the network was trained without.
    """
    if width in (video, video + TEF_DIM):
        return 0
    if audio is None:
        return None
    if audio == PANNS:
        audio += TEF_DIM
    adds_up = width - audio in (video, video + TEF_DIM) and TEF_DIM < audio < width - TEF_DIM
    return audio if adds_up else None


def _heads(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    options: Mapping[str, object],
    wishes: HeadWishes,
) -> int:
    heads = wishes.heads or plain_int(options, "nheads")
    if heads is None and shapes.get("global_rep_token") == (_PUBLISHED_HIDDEN,):
        heads = _PUBLISHED_HEADS
    if heads is None or heads < 1:
        raise BundleError(
            f"{path} does not say how many attention heads it has, which its tensors do not show: "
            "give --heads (8 in all published ones)."
        )
    return heads


def _has_slowfast(picture_dim: int, options: Mapping[str, object]) -> bool:
    if picture_dim <= SLOWFAST:
        return False
    named = any("slowfast" in name for name in _feature_folders(options))
    return named or picture_dim - SLOWFAST in _CLIP_WIDTHS


def _missing_features(picture_dim: int, options: Mapping[str, object]) -> str | None:
    missing = [f"SlowFast ({SLOWFAST} numbers per clip)"]
    if not _has_slowfast(picture_dim, options):
        missing.clear()
    for extractor in _OTHER_EXTRACTORS:
        if any(extractor.lower() in name for name in _feature_folders(options)):
            missing.append(extractor)
    return " and ".join(missing) or None


def _feature_folders(options: Mapping[str, object]) -> list[str]:
    """Last parts of the folders that a head was trained from, such as "clip_features"."""
    folders = options.get("v_feat_dirs")
    if not isinstance(folders, list):
        return []
    return [
        name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
        for name in folders
        if isinstance(name, str)
    ]


def _refuse_other_words(path: Path, text_dim: int, options: Mapping[str, object]) -> None:
    said = plain_int(options, "t_feat_dim")
    if said is not None and said != text_dim:
        raise BundleError(
            f"{path} contradicts itself: by what it says, a word has {ascii(said)[:40]} numbers "
            f"(t_feat_dim), and its tensors read {text_dim}: fetch or save it again."
        )


def _clip_length(path: Path, options: Mapping[str, object]) -> float:
    """Seconds of a clip; the official 2 s where the file is silent."""
    length = options.get("clip_length")
    if length is None:
        return CLIP_S
    if (
        isinstance(length, int | float)
        and not isinstance(length, bool)
        and _SHORTEST_CLIP_S <= length <= _LONGEST_CLIP_S  # NaN lies in no range
    ):
        return float(length)
    raise BundleError(
        f"{path} is damaged: it gives {ascii(length)[:40]} as the seconds of a clip (clip_length), "
        f"which are {_SHORTEST_CLIP_S:g} to {_LONGEST_CLIP_S:g} in any head: fetch or save it "
        "again."
    )


def _variant(picture_dim: int, sound_dim: int) -> str:
    return {
        (512, 0): "clip",
        (SLOWFAST + 512, 0): "sf_clip",
        (SLOWFAST + 512, PANNS): "sf_clip_audio",
        (512, PANNS): "clip_audio",
    }.get((picture_dim, sound_dim), "other")
