"""The options of a training run: one table for the command line and for the checkpoint's ``opt``.

In the namespace they carry the names of the official options, so that a checkpoint reads like a
published one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.moments.qd_detr_config import QDDETRConfig
from training.moment_retrieval.checkpoint import load
from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.features import FeatureFolders, Widths
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
NETWORK = (
    Option("--hidden", "hidden_dim", 256, "width of the transformer"),
    Option("--heads", "nheads", 8, "attention heads"),
    Option("--feedforward", "dim_feedforward", 1024, "width of the feed-forward layers"),
    Option("--text-to-video-layers", "t2v_layers", 2, "layers in which clips read the text"),
    Option("--encoder-layers", "enc_layers", 2, "layers in which clips read one another"),
    Option("--decoder-layers", "dec_layers", 2, "layers that refine the moments"),
    Option("--queries", "num_queries", 10, "moments proposed per video"),
    Option("--input-projections", "n_input_proj", 2, "layers before the transformer"),
    Option("--max-tokens", "max_q_l", 32, "text tokens that are read"),
    Option("--dropout", "dropout", 0.1, "in the transformer"),
    Option("--input-dropout", "input_dropout", 0.5, "before each input projection"),
)
LOSS = (
    Option("--span-weight", "span_loss_coef", 10.0, "weight of the distance of borders"),
    Option("--giou-weight", "giou_loss_coef", 1.0, "weight of 1 - generalised IoU"),
    Option("--label-weight", "label_loss_coef", 4.0, "weight of foreground or background"),
    Option("--saliency-weight", "lw_saliency", 1.0, "weight of the saliency loss"),
    Option("--background-weight", "eos_coef", 0.1, "weight of queries without a window"),
    Option("--saliency-margin", "saliency_margin", 0.2, "between a better and a worse clip"),
    Option("--span-cost", "set_cost_span", 10.0, "matching: distance of borders"),
    Option("--giou-cost", "set_cost_giou", 1.0, "matching: generalised IoU"),
    Option("--label-cost", "set_cost_class", 4.0, "matching: foreground probability"),
)

_FIXED = {
    "dset_name": "hl",
    "ctx_mode": "video_tef",
    "max_v_l": 75,
    "clip_length": 2,
    "max_windows": 5,
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


def parse(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The options of a command line; with ``--resume``, what is not given is the checkpoint's."""
    parser = _parser(description)
    first, _ = parser.parse_known_args(arguments)
    saved = None
    if first.resume is not None:
        saved = vars(load(Path(first.resume))["opt"])
        known = vars(first)
        parser.set_defaults(**{name: value for name, value in saved.items() if name in known})
        parser.set_defaults(resume=first.resume)
    options = parser.parse_args(arguments)
    for flag, name in _SOURCES.items():
        if getattr(options, name) is None and flag != "--audio-features":
            parser.error(f"{flag} is required (or --resume a run that has it)")
    if saved is not None:
        _refuse_changes(saved, options)
    return options


def folders(options: argparse.Namespace) -> FeatureFolders:
    """Where the features are."""
    return FeatureFolders(
        tuple(Path(folder) for folder in options.v_feat_dirs),
        Path(options.t_feat_dir),
        None if options.a_feat_dir is None else Path(options.a_feat_dir),
        options.max_q_l,
    )


def network_config(options: argparse.Namespace, widths: Widths) -> QDDETRConfig:
    """The network for features of these widths; each kind gets two numbers for its position."""
    try:
        return QDDETRConfig(
            video_dim=sum(widths.video) + 2,
            text_dim=widths.text,
            audio_dim=widths.sound + 2 if widths.sound else 0,
            hidden=options.hidden_dim,
            heads=options.nheads,
            feedforward=options.dim_feedforward,
            text_to_video_layers=options.t2v_layers,
            encoder_layers=options.enc_layers,
            decoder_layers=options.dec_layers,
            queries=options.num_queries,
            input_projections=options.n_input_proj,
            max_text_tokens=options.max_q_l,
            dropout=options.dropout,
            input_dropout=options.input_dropout,
            text_positions=options.use_txt_pos,
            aux_outputs=options.aux_loss,
        )
    except ValueError as error:
        raise TrainingError(f"no such network can be built: {error}.") from error


def loss_weights(options: argparse.Namespace) -> LossWeights:
    """The weights of the terms."""
    return LossWeights(
        span=options.span_loss_coef,
        giou=options.giou_loss_coef,
        label=options.label_loss_coef,
        saliency=options.lw_saliency,
        background=options.eos_coef,
        saliency_margin=options.saliency_margin,
    )


def matching_costs(options: argparse.Namespace) -> MatchingCosts:
    """The costs of a pair."""
    return MatchingCosts(options.set_cost_span, options.set_cost_giou, options.set_cost_class)


def official(options: argparse.Namespace, config: QDDETRConfig) -> argparse.Namespace:
    """The ``opt`` of a checkpoint: with the widths that the network reads, positions included."""
    return argparse.Namespace(
        **_FIXED,
        **{name: value for name, value in vars(options).items() if name != "resume"},
        v_feat_dim=config.video_dim,
        t_feat_dim=config.text_dim,
        a_feat_dim=config.audio_dim or None,
    )


_SOURCES = {
    "--train": "train_path",
    "--val": "eval_path",
    "--video-features": "v_feat_dirs",
    "--text-features": "t_feat_dir",
    "--audio-features": "a_feat_dir",
    "--out": "results_dir",
}


_USAGE = """
  %(prog)s --train FILE --val FILE --video-features DIR [DIR …] --text-features DIR
      [--audio-features DIR] --out DIR [options]
  %(prog)s --resume CKPT [--epochs N]"""


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not those of options that have none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.moments",
        usage=_USAGE,
        description=description,
        formatter_class=_Help,
    )
    add = parser.add_argument_group("data").add_argument
    add("--train", dest="train_path", metavar="FILE", help="annotations to learn from (.jsonl)")
    add("--val", dest="eval_path", metavar="FILE", help="annotations to validate on (.jsonl)")
    add(
        "--video-features",
        dest="v_feat_dirs",
        metavar="DIR",
        nargs="+",
        help="folders of {vid}.npz; several are joined in this order",
    )
    add("--text-features", dest="t_feat_dir", metavar="DIR", help="folder of qid{qid}.npz")
    add("--audio-features", dest="a_feat_dir", metavar="DIR", help="folder of {vid}.npy, if any")
    add = parser.add_argument_group("run").add_argument
    add("--out", dest="results_dir", metavar="DIR", help="folder for checkpoints and logs")
    add("--resume", metavar="CKPT", help="go on from a model_latest.ckpt, with its options")
    add("--device", help="cpu, cuda, cuda:1 …; without it CUDA if there is one, else the CPU")
    for title, table in (("recipe", RECIPE), ("network", NETWORK), ("loss", LOSS)):
        add = parser.add_argument_group(title).add_argument
        for option in table:
            add(
                option.flag,
                dest=option.name,
                metavar="N",
                type=_kind(option),
                default=option.default,
                help=option.help,
            )
    switch = argparse.BooleanOptionalAction
    add = parser.add_argument_group("switches").add_argument
    add(
        "--text-positions",
        dest="use_txt_pos",
        action=switch,
        default=False,
        help="give words learned positions; no published network has them",
    )
    add(
        "--aux-loss",
        dest="aux_loss",
        action=switch,
        default=True,
        help="let the decoder layers before the last learn from the loss, too",
    )
    return parser


def _refuse_changes(saved: dict[str, object], options: argparse.Namespace) -> None:
    settled = [(o.flag, o.name) for o in (*RECIPE, *NETWORK, *LOSS) if not o.free]
    for flag, name in (*settled, ("--text-positions", "use_txt_pos"), ("--aux-loss", "aux_loss")):
        if saved.get(name) != getattr(options, name):
            raise TrainingError(
                f"{flag} is {getattr(options, name)}, but the run to resume has "
                f"{saved.get(name)}: leave the option out, or start a new run."
            )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _any_count(text: str) -> int:
    return int(text)


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of at least 0")
    return number


def _probability(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and below 1")
    return number


_KINDS = {"seed": _any_count, "dropout": _probability, "input_dropout": _probability}


def _kind(option: Option) -> Callable[[str], int | float]:
    otherwise = _amount if isinstance(option.default, float) else _count
    return _KINDS.get(option.name, otherwise)
