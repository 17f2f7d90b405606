"""The options of a training run: one table for the command line and for the checkpoint's ``opt``.

In a namespace they carry the names of the official options, so that a checkpoint reads like a
published one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_inputs import TEF_DIM
from storage.records import CLIP_S, SEGMENT_CLIPS
from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.features import FeatureFolders, Widths
from training.moment_retrieval.labels import MAX_WINDOWS
from training.moment_retrieval.losses import LossWeights
from training.moment_retrieval.matching import MatchingCosts


@dataclass(frozen=True)
class Option:
    """A number of the recipe."""

    flag: str
    name: str
    """The official name."""
    default: int | float
    help: str
    free: bool = False
    """Whether a resumed run may change it: the weights do not depend on it."""
    field: str = ""
    """The field that it sets, where it is one of a dataclass; the default is that field's."""


def _fields(owner: type, *rows: tuple[str, str, str, str]) -> tuple[Option, ...]:
    """Options for fields of a dataclass: flag, official name, field, help."""
    return tuple(
        Option(flag, name, getattr(owner, field), text, field=field)
        for flag, name, field, text in rows
    )


RECIPE = (
    Option("--epochs", "n_epoch", 200, "so many times through the training set", free=True),
    Option("--batch", "bsz", 32, "examples a step"),
    Option("--learning-rate", "lr", 1e-4, "of AdamW"),
    Option("--weight-decay", "wd", 1e-4, "of AdamW"),
    Option("--lr-drop", "lr_drop", 400, "epochs after which the rate falls to a tenth"),
    Option("--clip-norm", "grad_clip", 0.1, "largest norm of the gradient"),
    Option("--seed", "seed", 2018, "of weights, dropout, order and draws"),
    Option("--eval-every", "eval_every", 5, "epochs between validations", free=True),
    Option("--eval-batch", "eval_bsz", 100, "examples a step of validation", free=True),
    Option("--threads", "num_workers", 4, "threads that read features", free=True),
)
NETWORK = _fields(
    QDDETRConfig,
    ("--hidden", "hidden_dim", "hidden", "width of the transformer"),
    ("--heads", "nheads", "heads", "attention heads"),
    ("--feedforward", "dim_feedforward", "feedforward", "width of the feed-forward layers"),
    ("--text-to-video-layers", "t2v_layers", "text_to_video_layers", "layers that read the text"),
    ("--encoder-layers", "enc_layers", "encoder_layers", "layers in which clips read one another"),
    ("--decoder-layers", "dec_layers", "decoder_layers", "layers that refine the moments"),
    ("--queries", "num_queries", "queries", "moments proposed per video"),
    ("--input-projections", "n_input_proj", "input_projections", "layers before the transformer"),
    ("--max-tokens", "max_q_l", "max_text_tokens", "text tokens that are read"),
    ("--dropout", "dropout", "dropout", "in the transformer"),
    ("--input-dropout", "input_dropout", "input_dropout", "before each input projection"),
)
WEIGHTS = _fields(
    LossWeights,
    ("--span-weight", "span_loss_coef", "span", "weight of the distance of borders"),
    ("--giou-weight", "giou_loss_coef", "giou", "weight of 1 - generalised IoU"),
    ("--label-weight", "label_loss_coef", "label", "weight of foreground or background"),
    ("--saliency-weight", "lw_saliency", "saliency", "weight of the saliency loss"),
    ("--background-weight", "eos_coef", "background", "weight of queries without a window"),
    ("--saliency-margin", "saliency_margin", "saliency_margin", "between better and worse clip"),
)
COSTS = _fields(
    MatchingCosts,
    ("--span-cost", "set_cost_span", "span", "matching: distance of borders"),
    ("--giou-cost", "set_cost_giou", "giou", "matching: generalised IoU"),
    ("--label-cost", "set_cost_class", "label", "matching: foreground probability"),
)
GROUPS = {"recipe": RECIPE, "network": NETWORK, "loss": (*WEIGHTS, *COSTS)}
"""All numbers, by the titles under which the help has them."""

_FIXED = {
    "dset_name": "hl",
    "ctx_mode": "video_tef",
    "max_v_l": SEGMENT_CLIPS,
    "clip_length": int(CLIP_S),
    "max_windows": MAX_WINDOWS,
    "position_embedding": "sine",
    "pre_norm": False,
    "span_loss_type": "l1",
    "contrastive_align_loss": False,
    "txt_drop_ratio": 0,
    "no_norm_vfeat": False,
    "no_norm_tfeat": False,
    "nms_thd": -1,
    "use_tef": True,
    "use_video": True,
}
"""Official options that have one value here; readers of checkpoints may look for them."""


def folders(options: argparse.Namespace) -> FeatureFolders:
    """Where the features are."""
    return FeatureFolders(
        tuple(Path(folder) for folder in options.v_feat_dirs),
        Path(options.t_feat_dir),
        None if options.a_feat_dir is None else Path(options.a_feat_dir),
        options.max_q_l,
    )


def network_config(options: argparse.Namespace, widths: Widths) -> QDDETRConfig:
    """The network for features of these widths; picture and sound each get their TEF."""
    try:
        return QDDETRConfig(
            video_dim=sum(widths.video) + TEF_DIM,
            text_dim=widths.text,
            audio_dim=widths.sound + TEF_DIM if widths.sound else 0,
            **_values(NETWORK, options),
            text_positions=options.use_txt_pos,
            aux_outputs=options.aux_loss,
        )
    except ValueError as error:
        raise TrainingError(f"no such network can be built: {error}.") from error


def loss_weights(options: argparse.Namespace) -> LossWeights:
    """The weights of the terms."""
    return LossWeights(**_values(WEIGHTS, options))


def matching_costs(options: argparse.Namespace) -> MatchingCosts:
    """The costs of a pair."""
    return MatchingCosts(**_values(COSTS, options))


def _values(table: Sequence[Option], options: argparse.Namespace) -> dict[str, Any]:
    return {option.field: getattr(options, option.name) for option in table}


def official(options: argparse.Namespace, config: QDDETRConfig) -> argparse.Namespace:
    """The ``opt`` of a checkpoint: with the widths that the network reads, positions included."""
    return argparse.Namespace(
        **_FIXED,
        **{name: value for name, value in vars(options).items() if name != "resume"},
        v_feat_dim=config.video_dim,
        t_feat_dim=config.text_dim,
        a_feat_dim=config.audio_dim or None,
    )
